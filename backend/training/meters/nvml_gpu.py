"""The GPU that torch runs on, as NVML reads it. A reading that the driver refuses is None."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pynvml
import torch

from backend.hardware import nvml
from backend.run.events import GpuReading


class GpuMeter:
    """One GPU, or a MIG slice of one, through NVML."""

    def __init__(self, handle: nvml.Handle) -> None:
        self._handle = handle

    @classmethod
    def of_torch(cls) -> GpuMeter | None:
        """The device that torch runs on; None if NVML can't be asked, or doesn't know it."""
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        try:
            nvml.start()
        except nvml.NvmlAbsent:
            return None
        found, _ = nvml.handles()
        return next((cls(x) for x in found if x.uuid.removeprefix("GPU-").removeprefix("MIG-") == uuid), None)

    def read(self) -> GpuReading:
        """Use, temperature, power, and the memory that all programs hold.

        Of a MIG slice the driver tells the memory; the temperature is that of the whole GPU.
        """
        device, whole = self._handle.device, self._handle.parent or self._handle.device
        return GpuReading(
            utilisation_percent=_asked(lambda: pynvml.nvmlDeviceGetUtilizationRates(device).gpu),
            temperature_c=_asked(lambda: pynvml.nvmlDeviceGetTemperature(whole, pynvml.NVML_TEMPERATURE_GPU)),
            power_watts=_asked(lambda: pynvml.nvmlDeviceGetPowerUsage(device) / 1000),
            used_bytes=_asked(lambda: pynvml.nvmlDeviceGetMemoryInfo(device).used),
        )

    def own_bytes(self) -> int | None:
        """Memory of this process, its CUDA context included; None if it can't be told from other programs'.

        In a container NVML gives the host's process ids; the only program on the GPU is then this one.
        """
        found = _asked(lambda: pynvml.nvmlDeviceGetComputeRunningProcesses(self._handle.device)) or []
        own = [x for x in found if x.pid == os.getpid()] or (found if len(found) == 1 else [])
        return own[0].usedGpuMemory if own else None


def _asked(question: Callable[[], Any]) -> Any:
    """The answer; None if the driver refuses it."""
    try:
        return question()
    except pynvml.NVMLError:
        return None
