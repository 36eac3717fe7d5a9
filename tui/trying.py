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
    equal = trial_plan.equal_seconds(comparison, fitting)
    found = (trial_plan.of(comparison, first, equal), *(trial_plan.of(fetched, method, equal) for method in others))
    trial.refuse_beside_a_run(found[0].job)
    return found


def about(found: Sequence[Trial]) -> str:
    """What will be done and for how long, method by method, and how that compares with the whole run.

    `20 real steps of LoRA, about 1 m 05 s, and of QLoRA, about 1 m 10 s: about 2 m 15 s together, with loading and
    evaluating. The whole run of LoRA is predicted to take 3 h 05 m.`
    """
    steps = [one.steps for one in found]
    count = f"{min(steps)}" if min(steps) == max(steps) else f"{min(steps)} to {max(steps)}"
    if any(one.train_seconds and one.steps < one.whole_steps for one in found):
        count = f"about {count}"
    seconds = seconds_of(found)
    if seconds is None:
        return f"{count} real steps of {listed([title(one.method) for one in found])}: no time is predicted."
    took = f"about {units.duration(seconds)}"
    if len(found) == 1:
        said = f"{title(found[0].method)}: {took} is predicted"
    else:
        each = listed([f"{title(one.method)}, about {units.duration(one.seconds)}" for one in found], "and of")
        said = f"{each}: {took} together"
    return f"{count} real steps of {said}, with loading and evaluating. {_of_the_run(found[0])}"


def _of_the_run(trial: Trial) -> str:
    """How the trial compares with the whole run, whose time is the figure that the comparison shows."""
    if trial.steps >= trial.whole_steps:
        return f"These are all steps of the run, so that a trial takes as long as {title(trial.method)} itself."
    predicted = trial.job.predicted
    if predicted is None or predicted.hours is None:
        return ""
    whole = units.duration(predicted.hours * 3600)
    return f"The whole run of {title(trial.method)} is predicted to take {whole} for {trial.whole_steps:,} steps."


def seconds_of(found: Sequence[Trial]) -> float | None:
    """Predicted seconds of all trials together; None if they can't be predicted."""
    seconds = sum(one.seconds for one in found)
    return None if math.isnan(seconds) else seconds


def listed(names: Sequence[str], last: str = "and") -> str:
    """`LoRA`, `LoRA and QLoRA`, `LoRA, QLoRA and Full`; with another word than `and`, after a comma."""
    comma = "" if last == "and" else ","
    return f"{comma} {last} ".join(x for x in (", ".join(names[:-1]), names[-1]) if x)
