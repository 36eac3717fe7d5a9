"""Which methods can be tried on this box before the choice, and how long that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from backend import units
from backend.answers import METHODS, Method
from backend.errors import DoesNotFit
from backend.planner.estimates import Comparison
from backend.planner.rules import title
from backend.trial import plan as trial_plan
from backend.trial import trial
from backend.trial.plan import Trial
from tui import starting


def trials(comparison: Comparison, wanted: Method | None) -> tuple[Trial, ...]:
    """The trial of `wanted`, the method that the user set, or those of all methods that fit.

    Raises UserError, in one sentence, if the job can't be trained here or not now.
    """
    starting.refuse(comparison)
    fitting = [m for m in ((wanted,) if wanted else METHODS) if comparison.methods[m].fit != "no"]
    if not fitting:
        reasons = (*comparison.methods[wanted].obstacles, *comparison.methods[wanted].suggestions) if wanted else ()
        raise DoesNotFit(" ".join(reasons or comparison.reasons), "trial")
    fetched = replace(comparison, model=replace(comparison.model, download_bytes=0))  # the first trial downloads it
    first, *others = fitting
    found = (trial_plan.of(comparison, first), *(trial_plan.of(fetched, method) for method in others))
    trial.refuse_beside_a_run(found[0].job)
    return found


def about(found: Sequence[Trial]) -> str:
    """What will be done and for how long: `20 real steps of LoRA and QLoRA: about 2 m 10 s is predicted.`."""
    steps = [one.steps for one in found]
    count = f"{min(steps)}" if min(steps) == max(steps) else f"{min(steps)} to {max(steps)}"
    seconds = seconds_of(found)
    took = "no time is predicted" if seconds is None else f"about {units.duration(seconds)} is predicted"
    return f"{count} real steps of {listed([title(one.method) for one in found])}: {took}."


def seconds_of(found: Sequence[Trial]) -> float | None:
    """Predicted seconds of all trials together; None if they can't be predicted."""
    seconds = sum(one.seconds for one in found)
    return None if math.isnan(seconds) else seconds


def listed(names: Sequence[str]) -> str:
    """`LoRA`, `LoRA and QLoRA`, `LoRA, QLoRA and Full`."""
    return " and ".join(x for x in (", ".join(names[:-1]), names[-1]) if x)
