"""What was measured on this CPU: how fast products and a plain loop are, and whether bfloat16 is faster."""

from __future__ import annotations

import statistics
from contextlib import suppress
from typing import NamedTuple

import msgspec

from backend import atomic, paths, typed
from backend.hardware.host import CpuRate, measure_cpu_rate, measure_loop_seconds
from backend.hardware.types import Cpu

FILE = "cpu.json"
GAINS_KEPT = 5
GAINS_NEEDED = 3
"""With fewer measured runs the CPU's instruction set decides, since a single measurement may be from a busy time."""


class Rate(msgspec.Struct):
    """The contents of `$FTTUI_HOME/cpu.json`."""

    name: str
    cores: float
    flops_per_second: float = 0.0
    quiet: bool = False
    """Whether nothing else took cores away when that rate was measured."""
    loop_seconds: float = 0.0
    """Seconds of a plain Python loop; 0 if they were not measured."""
    bf16_gains: list[float] = msgspec.field(default_factory=list)
    """Speed of bfloat16 matrix products over float32 ones, in the last runs."""


class Seen(NamedTuple):
    """What is known of this CPU's speed."""

    flops_per_second: float
    """Rate of a float32 matrix product: the better of a short measurement now and the best earlier one."""
    busy: bool
    """Other programs keep its cores busy now."""
    trusted: bool
    """The rate was measured while they did not."""


def cpu_rate(cpu: Cpu) -> Seen:
    """Measure now, and keep it if it is the best so far: a busy moment never replaces a better one."""
    now, known = measure_cpu_rate(cpu), _read(cpu)
    best = CpuRate(max(now.flops_per_second, known.flops_per_second), now.quiet or known.quiet)
    if best != (known.flops_per_second, known.quiet):
        known.flops_per_second, known.quiet = best
        with suppress(OSError):  # a plan needs no home
            _write(known)
    return Seen(best.flops_per_second, busy=not now.quiet, trusted=best.quiet)


def loop_seconds(cpu: Cpu) -> float:
    """Seconds of a plain Python loop: the better of a short measurement now and the best earlier one."""
    now, known = measure_loop_seconds(), _read(cpu)
    if not 0 < known.loop_seconds <= now:
        known.loop_seconds = now
        with suppress(OSError):
            _write(known)
    return known.loop_seconds


def does_bf16_well(cpu: Cpu) -> bool:
    """Whether bfloat16 is faster than float32: as runs measured it, or by the instruction set before that."""
    gain = bf16_gain(cpu)
    return cpu.bf16 if gain is None else gain > 1


def bf16_gain(cpu: Cpu) -> float | None:
    """Speed of bfloat16 over float32, as the median of the last runs; None if too few have measured it."""
    gains = _read(cpu).bf16_gains
    return statistics.median(gains) if len(gains) >= GAINS_NEEDED else None


def remember_bf16_gain(cpu: Cpu, gain: float) -> None:
    """Keep what a run measured; the oldest one is forgotten. Raises OSError if it can't be written."""
    known = _read(cpu)
    known.bf16_gains = [*known.bf16_gains, gain][-GAINS_KEPT:]
    _write(known)


def _read(cpu: Cpu) -> Rate:
    try:
        known = typed.read_json(paths.home() / FILE, Rate)
    except typed.Damaged:
        return Rate(cpu.name, cpu.usable_cores)
    same = (known.name, known.cores) == (cpu.name, cpu.usable_cores)
    return known if same else Rate(cpu.name, cpu.usable_cores)


def _write(known: Rate) -> None:
    atomic.write(paths.home() / FILE, msgspec.json.encode(known))
