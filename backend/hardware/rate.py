"""What was measured of this CPU, run after run: its speed, and whether bfloat16 pays on it."""

from __future__ import annotations

import statistics

import msgspec

from backend import paths, typed
from backend.hardware.host import measure_cpu_flops
from backend.hardware.types import Cpu

FILE = "cpu.json"
GAINS_KEPT = 5
GAINS_NEEDED = 3
"""Before, the CPU's instruction set decides: one measurement may have met a busy moment."""


class Rate(msgspec.Struct):
    """What stands in `$FTTUI_HOME/cpu.json`."""

    name: str
    cores: float
    flops_per_second: float = 0.0
    bf16_gains: list[float] = msgspec.field(default_factory=list)
    """How many times as fast as float32 products those of bfloat16 were, at the last runs."""


def cpu_flops(cpu: Cpu) -> float:
    """FLOP/s of a float32 matrix product: the higher of a short measurement now and the best one before."""
    now, known = measure_cpu_flops(), _read(cpu)
    if known.flops_per_second < now:
        known.flops_per_second = now
        _write(known)
    return known.flops_per_second


def does_bf16_well(cpu: Cpu) -> bool:
    """bfloat16 is faster than float32 on it: by what runs have measured, before by its instruction set."""
    gain = bf16_gain(cpu)
    return cpu.bf16 if gain is None else gain > 1


def bf16_gain(cpu: Cpu) -> float | None:
    """How many times as fast as float32 it is, the median of the last runs; None if too few have measured it."""
    gains = _read(cpu).bf16_gains
    return statistics.median(gains) if len(gains) >= GAINS_NEEDED else None


def remember_bf16_gain(cpu: Cpu, gain: float) -> None:
    """Keep what a run measured; the oldest one is forgotten. Raises OSError if it can't be written."""
    known = _read(cpu)
    known.bf16_gains = [*known.bf16_gains, gain][-GAINS_KEPT:]
    _write(known)


def _read(cpu: Cpu) -> Rate:
    try:
        known = typed.from_json((paths.home() / FILE).read_bytes(), Rate)
    except (OSError, msgspec.DecodeError):
        return Rate(cpu.name, cpu.usable_cores)
    same = (known.name, known.cores) == (cpu.name, cpu.usable_cores)
    return known if same else Rate(cpu.name, cpu.usable_cores)


def _write(known: Rate) -> None:
    (paths.home() / FILE).write_bytes(msgspec.json.encode(known))
