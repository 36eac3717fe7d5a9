"""What the chart can show over the steps of a run, one after the other: loss, learning rate, gradient norm ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from backend import units
from backend.run.history import History
from backend.run.series import Series


class Measure(NamedTuple):
    """One quantity over steps."""

    title: str
    series: Callable[[History], Series]
    shown: Callable[[float], str]
    """A value in words, with its unit."""
    unit: float = 1.0
    """What the axis counts: its labels are values divided by this."""
    averaged: bool = True
    """Whether it is so noisy that an average says more than single values."""
    predicted: Callable[[History], float | None] = lambda _: None
    """What was predicted, drawn as a line across; None if nothing was."""


def predicted_peak(history: History) -> int:
    """The prediction that the measured peak is compared with.

    On a GPU torch's allocator measures itself, so it is the allocated peak; on a CPU it is the whole process.
    """
    is_rss = history.memory.kind == "rss"
    return history.predicted.peak_bytes if is_rss else history.predicted.peak_allocated_bytes


def _percent(value: float) -> str:
    return f"{value:.0f} %"


LOSS = Measure("Loss", lambda past: past.loss, lambda value: f"{value:.3f}")
SPEED = Measure(
    "Tokens/s",
    lambda past: past.tokens_per_second,
    units.rate,
    predicted=lambda past: past.predicted.tokens_per_second,
)
MEMORY = Measure(
    "Memory, GiB",
    lambda past: past.allocated_bytes,
    units.memory,
    unit=units.GIB,
    averaged=False,
    predicted=lambda past: predicted_peak(past) or None,
)
GPU_USE = Measure("GPU use, %", lambda past: past.gpu_percent, _percent)
MEASURES = (
    LOSS,
    Measure("Learning rate", lambda past: past.learning_rate, lambda value: f"{value:.2e}", averaged=False),
    Measure("Gradient norm", lambda past: past.grad_norm, lambda value: f"{value:.3g}"),
    SPEED,
    MEMORY,
    GPU_USE,
)


def known(history: History) -> list[Measure]:
    """The quantities that the run has values of; the loss always, and first."""
    return [one for one in MEASURES if one is LOSS or one.series(history).steps]
