"""The emulated boxes, and how a process is run in one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Box:
    """GPUs as `source/gpus.h` reads them, and what else is in the environment."""

    gpus: tuple[Mapping[str, str | int], ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """What describes the box to the emulated driver."""
        described = (",".join(f"{key}={value}" for key, value in gpu.items()) for gpu in self.gpus)
        return {"EMULATED_GPUS": ";".join(described), **self.environment}


def gpu(
    name: str, capability: str, mib: int, processors: int, number: int = 0, **more: str | int
) -> dict[str, str | int]:
    """One GPU; its memory as nvidia-smi shows it."""
    uuid = f"00000000-0000-0000-0000-0000000000{number:02d}"
    described: dict[str, str | int] = {"name": name, "capability": capability, "mib": mib, "uuid": uuid}
    return {**described, "processors": processors, "reserved": 500, **more}


def alike(count: int, name: str, capability: str, mib: int, processors: int) -> tuple[dict[str, str | int], ...]:
    """Several of one kind."""
    return tuple(gpu(name, capability, mib, processors, number) for number in range(count))


SLICES = "1g.10gb/11111111-0000-0000-0000-000000000000/9728/1+3g.40gb/33333333-0000-0000-0000-000000000000/40192/3"
RTX_4090 = gpu("NVIDIA GeForce RTX 4090", "8.9", 24564, 128)
A100 = ("NVIDIA A100-SXM4-80GB", "8.0", 81920, 108)
H100 = ("NVIDIA H100 80GB HBM3", "9.0", 81559, 132)
BOXES = {
    "4090 with a desktop": Box(
        (gpu("NVIDIA GeForce RTX 4090", "8.9", 24564, 128, held=1100),),
        {"EMULATED_PROGRAMS": "0:4242:700:G;0:4243:400:G"},
    ),
    "T4": Box((gpu("Tesla T4", "7.5", 15360, 40),)),
    "V100": Box((gpu("Tesla V100-SXM2-32GB", "7.0", 32768, 80),)),
    "A100": Box((gpu(*A100),)),
    "H100": Box((gpu(*H100),)),
    "H200": Box((gpu("NVIDIA H200", "9.0", 143771, 132),)),
    "5090": Box((gpu("NVIDIA GeForce RTX 5090", "12.0", 32607, 170),)),
    "MIG": Box((gpu(*A100, slices=SLICES),)),
    "WSL 2": Box((RTX_4090,), {"EMULATED_WSL": "1"}),
    "two cards": Box(alike(2, *A100)),
    "eight cards": Box(alike(8, *H100)),
    "an old driver": Box((gpu(*A100),), {"EMULATED_CUDA": "12040", "EMULATED_DRIVER": "550.54.15"}),
}


def run(box: Box, libraries: Path, command: list[str], seconds: float = 600) -> subprocess.CompletedProcess[str]:
    """`command` in the box, its driver in `libraries`; torch with one thread."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CUDA_VISIBLE", "PYTORCH_"))},
        "LD_PRELOAD": str(libraries / "libcuda.so.1"),
        "LD_LIBRARY_PATH": str(libraries),
        "OMP_NUM_THREADS": "1",
        **box.variables(),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)


def emulating(box: Box, **changes: str) -> Box:
    """`box` with other variables too."""
    return replace(box, environment={**box.environment, **changes})
