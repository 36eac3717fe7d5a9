"""Memory and GPU readings, about once a second, from a small thread beside the training."""

from __future__ import annotations

import re
import resource
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pynvml
import torch

from backend.training.report import Report

SECONDS = 1.0


class Meters:
    """Writes `memory` and `gpu` events while its context is open; `memory()` reads at any time."""

    def __init__(self, report: Report, device: str) -> None:
        self._report = report
        self._source: _CudaMemory | _ProcessMemory = _CudaMemory() if device == "cuda" else _ProcessMemory()
        self._gpu = _Gpu.of_torch() if device == "cuda" else None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meters", daemon=True)

    def __enter__(self) -> Meters:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    @property
    def peak_bytes(self) -> int:
        """The highest use so far."""
        return int(self._source.read()["peak_bytes"])

    def write(self) -> None:
        """One reading now."""
        self._report.event("memory", **self._source.read(), phase=self._report.current_phase)
        if self._gpu:
            self._report.event("gpu", **self._gpu.read())

    def _run(self) -> None:
        while True:
            self.write()
            if self._over.wait(SECONDS):
                return


class _CudaMemory:
    """Torch's own allocator on the current device."""

    def __init__(self) -> None:
        torch.cuda.reset_peak_memory_stats()
        self._device_bytes = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory

    def read(self) -> dict[str, Any]:
        return {
            "kind": "cuda",
            "allocated_bytes": torch.cuda.memory_allocated(),
            "reserved_bytes": torch.cuda.memory_reserved(),
            "peak_bytes": torch.cuda.max_memory_allocated(),
            "peak_reserved_bytes": torch.cuda.max_memory_reserved(),
            "device_bytes": self._device_bytes,
        }


class _ProcessMemory:
    """The process's resident memory. Its peak is the kernel's, counted from here where the kernel lets us reset it."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._device_bytes = psutil.virtual_memory().total
        self._highest = 0
        try:
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
        except OSError:
            self._highest = _lifetime_peak_bytes()

    def read(self) -> dict[str, Any]:
        now = self._process.memory_info().rss
        self._highest = max(self._highest, now, _high_water_bytes())
        return {
            "kind": "rss",
            "allocated_bytes": now,
            "reserved_bytes": now,
            "peak_bytes": self._highest,
            "device_bytes": self._device_bytes,
        }


def _high_water_bytes() -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _lifetime_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Gpu:
    """One GPU through NVML. A reading that the driver refuses is None."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @classmethod
    def of_torch(cls) -> _Gpu | None:
        """The GPU that torch runs on; None where NVML can't be asked."""
        try:
            pynvml.nvmlInit()
            uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
            return cls(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
        except pynvml.NVMLError:
            return None

    def read(self) -> dict[str, Any]:
        return {
            "utilisation_percent": self._asked(lambda x: pynvml.nvmlDeviceGetUtilizationRates(x).gpu),
            "temperature_c": self._asked(lambda x: pynvml.nvmlDeviceGetTemperature(x, pynvml.NVML_TEMPERATURE_GPU)),
            "power_watts": self._asked(lambda x: pynvml.nvmlDeviceGetPowerUsage(x) / 1000),
            "used_bytes": self._asked(lambda x: pynvml.nvmlDeviceGetMemoryInfo(x).used),
        }

    def _asked(self, question: Any) -> Any:
        try:
            return question(self._handle)
        except pynvml.NVMLError:
            return None
