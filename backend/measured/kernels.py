"""Which kernels were fastest on this box, as runs measured it at their start: `$FTTUI_HOME/kernels.json`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from backend import atomic, paths, typed
from backend.plan.plan import Plan

FILE = "kernels.json"
Kernels = Literal["stock", "fused", "compiled"]


class Fastest(msgspec.Struct, frozen=True):
    """What one measurement found."""

    kernels: Kernels
    seconds: dict[str, float]
    """Kernels -> seconds of a forward and backward pass."""
    t: float
    """Unix seconds."""


def file() -> Path:
    """The file that remembers it."""
    return paths.home() / FILE


def key(device_name: str, family: str, hidden: int, layers: int, plan: Plan) -> str:
    """The key of a measurement: it applies to this card, a model of this size, and passes of this kind."""
    sequence = f"{plan.micro_batch}x{plan.max_length}{' packed' * plan.packing}{' checkpointed' * plan.checkpointing}"
    return f"{device_name}, {family} {hidden}x{layers}, {plan.method} {plan.precision} {plan.attention} {sequence}"


def remember(name: str, seconds: Mapping[Kernels, float]) -> None:
    """Note the fastest of `seconds` under `key`. If the disk is full, only the note is lost."""
    best = min(seconds, key=lambda x: seconds[x])
    found = Fastest(best, {str(x): seconds[x] for x in seconds}, round(time.time(), 3))
    with suppress(OSError):
        atomic.write(file(), msgspec.json.encode({**known(), name: found}))


def fastest() -> tuple[tuple[str, Kernels], ...]:
    """The fastest kernels by key."""
    return tuple((name, found.kernels) for name, found in sorted(known().items()))


def known() -> dict[str, Fastest]:
    """All measurements of this box by key."""
    try:
        return typed.read_json(file(), dict[str, Fastest])
    except typed.Damaged:
        return {}
