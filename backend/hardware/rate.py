"""How fast this CPU is: the best that was ever measured here, since a busy moment says nothing about it."""

from __future__ import annotations

import msgspec

from backend import paths
from backend.hardware.host import measure_cpu_flops
from backend.hardware.types import Cpu

FILE = "cpu.json"


class Rate(msgspec.Struct):
    """What stands in `$FTTUI_HOME/cpu.json`."""

    name: str
    cores: float
    flops_per_second: float


def cpu_flops(cpu: Cpu) -> float:
    """FLOP/s of a float32 matrix product: the higher of a short measurement now and the best one before."""
    now = measure_cpu_flops()
    path = paths.home() / FILE
    try:
        before = msgspec.json.decode(path.read_bytes(), type=Rate)
    except (OSError, msgspec.DecodeError):
        before = Rate(cpu.name, cpu.usable_cores, 0.0)
    same = (before.name, before.cores) == (cpu.name, cpu.usable_cores)
    if same and before.flops_per_second >= now:
        return before.flops_per_second
    path.write_bytes(msgspec.json.encode(Rate(cpu.name, cpu.usable_cores, now)))
    return now
