"""Memory and GPU readings: about once a second from a thread of their own, and phase by phase."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType

from backend.run.events import PhasesMeasured
from backend.training.meters.cpu import CpuMeter
from backend.training.meters.memory_source import CudaMemory, ProcessMemory
from backend.training.meters.nvml_gpu import GpuMeter
from backend.training.meters.phases import Phases
from backend.training.report import Report

SECONDS = 1.0


class Meters:
    """Writes `memory`, and `gpu` or `cpu`, while its context is open, and `measured` at the end; reads at any time."""

    def __init__(self, report: Report, device: str) -> None:
        self._report = report
        self._source: CudaMemory | ProcessMemory = CudaMemory() if device == "cuda" else ProcessMemory()
        self._gpu = GpuMeter.of_torch() if device == "cuda" else None
        self._cpu = CpuMeter() if device == "cpu" else None
        self._phases = Phases(self._source)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meters", daemon=True)

    def __enter__(self) -> Meters:
        self._report.on_phase = self._phases.begin
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._report.on_phase = None
        self._over.set()
        self._thread.join()

    @property
    def peak_bytes(self) -> int:
        """The highest use so far."""
        return self._source.read().peak_bytes

    def write(self) -> None:
        """One reading now."""
        self._report.event(self._source.read(self._report.current_phase))
        if self._gpu:
            self._report.event(self._gpu.read())
        if self._cpu:
            self._report.event(self._cpu.read())

    def conclude(self, *, as_planned: bool) -> None:
        """Write `measured`: what each phase took since the run was started or resumed.

        `as_planned`: the trainer changed no setting of the plan, so that predictions can be compared with the figures.
        """
        self._phases.end()
        self._report.event(
            PhasesMeasured(
                kind=self._source.KIND,
                as_planned=as_planned,
                phases=self._phases.found,
                context_bytes=self._context_bytes(),
            )
        )

    def _context_bytes(self) -> int | None:
        """What this process holds on the GPU outside torch's allocator; None on a CPU, or if the driver hides it."""
        own = self._gpu.own_bytes() if self._gpu else None
        return own - self._source.read().reserved_bytes if own is not None else None

    def _run(self) -> None:
        while True:
            with suppress(OSError):  # the disk is full for the moment: the next reading may find room
                self.write()
            if self._over.wait(SECONDS):
                return
