"""The GPU that torch runs on, as NVML reads it. A reading that the driver refuses is None."""

from __future__ import annotations

import os
from typing import Any

import pynvml
import torch

from backend.run.events import GpuReading


class GpuMeter:
    """One GPU through NVML."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @classmethod
    def of_torch(cls) -> GpuMeter | None:
        """The GPU that torch runs on; None if NVML can't be asked."""
        try:
            pynvml.nvmlInit()
            uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
            return cls(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
        except pynvml.NVMLError:
            return None

    def read(self) -> GpuReading:
        """Use, temperature, power, and the memory that all programs hold."""
        return GpuReading(
            utilisation_percent=self._asked(lambda x: pynvml.nvmlDeviceGetUtilizationRates(x).gpu),
            temperature_c=self._asked(lambda x: pynvml.nvmlDeviceGetTemperature(x, pynvml.NVML_TEMPERATURE_GPU)),
            power_watts=self._asked(lambda x: pynvml.nvmlDeviceGetPowerUsage(x) / 1000),
            used_bytes=self._asked(lambda x: pynvml.nvmlDeviceGetMemoryInfo(x).used),
        )

    def own_bytes(self) -> int | None:
        """Memory of this process, its CUDA context included; None if it can't be told from other programs'.

        In a container NVML gives the host's process ids; the only program on the GPU is then this one.
        """
        found = self._asked(pynvml.nvmlDeviceGetComputeRunningProcesses) or []
        own = [x for x in found if x.pid == os.getpid()] or (found if len(found) == 1 else [])
        return own[0].usedGpuMemory if own else None

    def _asked(self, question: Any) -> Any:
        try:
            return question(self._handle)
        except pynvml.NVMLError:
            return None
