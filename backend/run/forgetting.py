"""What was measured of forgetting, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backend import constants
from backend.run.events import ForgettingMeasured

INSUFFICIENT = "insufficient evidence"


def latest(events: Sequence[ForgettingMeasured]) -> tuple[ForgettingMeasured, ...]:
    """The events of the last measurement after training began, one for each part."""
    if not events or not events[-1].step:  # before the first step the model is its base
        return ()
    last = events[-1]
    return tuple(x for x in events if (x.step, x.final) == (last.step, last.final))


def change(event: ForgettingMeasured) -> float | None:
    """The relative rise of the loss on a part; None if it is not known."""
    return event.loss / event.base_loss - 1 if event.loss is not None and event.base_loss else None


def is_sure(event: ForgettingMeasured) -> bool:
    """There are enough examples to tell how much was forgotten."""
    if event.low is None or event.high is None or event.base_loss is None:
        return False
    return (event.high - event.low) * event.base_loss <= constants.forgetting().interval.widest


def sentence(measured: Iterable[ForgettingMeasured]) -> str:
    """`prose +1.8 %, code +0.4 %, KL 0.020: low`; empty if nothing was measured."""
    events = [x for x in measured if change(x) is not None]
    if not events:
        return ""
    parts = ", ".join(f"{x.part} {_signed(change(x) or 0.0)}{_doubt(x)}" for x in events)
    divergence = kl(events)
    return f"{parts}{'' if divergence is None else f', KL {divergence:.3f}'}: {verdict(events)}"


def short(events: Sequence[ForgettingMeasured]) -> str:
    """`+1.8 % low`, for the part that changed most; empty if nothing was measured."""
    rises = [rise for x in events if (rise := change(x)) is not None]
    said = verdict(events)
    return f"{_signed(max(rises))} {'?' if said == INSUFFICIENT else said}" if rises else ""


def verdict(events: Sequence[ForgettingMeasured]) -> str:
    """low, moderate, high or severe, by the part that changed most; or that there is too little to tell by."""
    words = constants.forgetting().words
    rises = [x.loss - x.base_loss for x in events if x.loss is not None and x.base_loss is not None and is_sure(x)]
    if not rises:
        return INSUFFICIENT
    most = max(rises)
    limits = (("low", words.low), ("moderate", words.moderate), ("high", words.high))
    return next((word for word, limit in limits if most < limit), "severe")


def kl(events: Sequence[ForgettingMeasured]) -> float | None:
    """The mean over the target tokens of all parts; None if it is not known."""
    known = [(x.kl, x.tokens) for x in events if x.kl is not None]
    tokens = sum(count for _, count in known)
    return sum(value * count for value, count in known) / tokens if tokens else None


def _signed(fraction: float) -> str:
    return f"{100 * fraction:+.1f} %"


def _doubt(event: ForgettingMeasured) -> str:
    return "" if is_sure(event) else " (too few examples)"
