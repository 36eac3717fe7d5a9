"""What the trainer is doing, and times of day, in words that every panel shares."""

from __future__ import annotations

import time

from backend.run.history import History

_PHASES = {
    "waiting": "starting the trainer",
    "load": "loading the model",
    "data": "preparing the data",
    "eval": "evaluating",
    "train": "training",
    "sample": "asking the model",
    "checkpoint": "writing a checkpoint",
    "save": "saving the result",
    "done": "finished",
}


def phase(history: History) -> str:
    """The present phase; an unknown one by its own name."""
    if not history.step and history.phase in ("eval", "sample"):
        return "first evaluation" if history.phase == "eval" else "asking the untrained model"
    if not history.step and history.phase == "train":
        return "training, first step"
    return _PHASES.get(history.phase, history.phase)


def end_of_run(end: float, now: float) -> str:
    """When it ends: `17:41`, or with the day where that is not today."""
    at, today = time.localtime(end), time.localtime(now)
    same_day = (at.tm_year, at.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M" if same_day else "%a %H:%M", at)
