"""What the trainer is doing, and times of day, in words that every panel shares."""

from __future__ import annotations

import time

from backend import units
from backend.run.history import History


def phase(history: History) -> str:
    """The current phase; an unknown one by its own name."""
    if not history.step and history.phase in ("eval", "sample"):
        return "first evaluation" if history.phase == "eval" else "sampling before training"
    if not history.step and history.phase == "train":
        return "training, first step"
    return units.PHASES.get(history.phase, history.phase)


def progress(history: History) -> str:
    """How far the current phase is: `120 of 272 weights`; empty if it does not say."""
    part = history.part
    if part is None:
        return ""
    return f"{part.done:,} of {part.total:,} {part.what}" if part.total else f"{part.done:,} {part.what}"


def phase_and_progress(history: History) -> str:
    """`loading the model, 120 of 272 weights`."""
    return ", ".join(text for text in (phase(history), progress(history)) if text)


def end_of_run(end: float, now: float) -> str:
    """When it ends: `17:41`, with the day if that is not today."""
    at, today = time.localtime(end), time.localtime(now)
    same_day = (at.tm_year, at.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M" if same_day else "%a %H:%M", at)


def title(history: History, name: str, now: float) -> str:
    """For the terminal's title: `33 %, ends 17:41 - demo, QLoRA`, or the phase."""
    if history.finished:
        return f"{history.state} - {name}"
    if not history.step or not history.total_steps:
        return f"{phase_and_progress(history)} - {name}"
    part = f"{100 * history.step / history.total_steps:.0f} %"
    if history.eta_seconds is not None:
        end = (history.last_step.t or now) + history.eta_seconds
        part += f", ends {end_of_run(end, now)}"
    return f"{part} - {name}"
