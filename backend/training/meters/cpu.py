"""What the processor does while a run trains on it: all programs together, and this one."""

from __future__ import annotations

import psutil

from backend.run.events import CpuReading


class CpuMeter:
    """Reads since the last reading; neither of the two waits."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cores = psutil.cpu_count() or 1
        psutil.cpu_percent()  # the first call of each only begins to count
        self._process.cpu_percent()

    def read(self) -> CpuReading:
        """A `cpu` event."""
        own = self._process.cpu_percent() / self._cores
        return CpuReading(load_percent=psutil.cpu_percent(), own_percent=round(own, 1), cores=self._cores)
