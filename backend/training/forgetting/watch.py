"""Forgetting through a run: the base model at its start, then one measurement after the other, and the plan's limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backend.data.general import Part
from backend.run import forgetting as words
from backend.run.events import FindingReported, ForgettingMeasured
from backend.training import relief
from backend.training.forgetting import kept
from backend.training.forgetting.measure import Forgetting
from backend.training.meters.progress import RunProgress
from backend.training.methods import Loaded
from backend.training.parallel.execution import Execution
from backend.training.report import Report
from backend.training.saving.disk import DiskFull

FORGETTING = "measuring forgetting"
"""What memory may run out in."""


class Watch:
    """Measures, reports, and says when the plan's limit is passed. Does nothing once it can't go on."""

    def __init__(self, forgetting: Forgetting, report: Report, progress: RunProgress) -> None:
        self._forgetting: Forgetting | None = forgetting
        self._report = report
        self._progress = progress

    def begin(self, folder: Path, execution: Execution) -> None:
        """Make the base model's predictions available; if they are not, the log says so and nothing is measured."""
        forgetting, ranks = self._forgetting, execution.ranks
        if forgetting is None or not forgetting.keeps_base:
            return
        self._report.phase("forgetting")
        if self._progress.step > 0:
            forgetting.use_base(kept.read(folder, forgetting.parts))
            if not all(ranks.all_of(forgetting.is_ready)):
                self._give_up(f"what the base model predicted is not in {folder / kept.FILE} any more")
            return
        taken = relief.attempt(lambda: forgetting.take_base(execution), self._report, 0, FORGETTING, ranks)
        if not taken:
            self._give_up("no memory is left for it")
        elif problem := ranks.of_first(_written(folder, forgetting) if ranks.is_first else None):
            self._report.warn(f"forgetting can't be measured after a resume: {problem}")

    def measure(self, execution: Execution, broken_off: Callable[[], bool], *, final: bool = False) -> bool:
        """Write an event for each part and a sentence for the log; False if broken off."""
        forgetting, step = self._forgetting, self._progress.step
        if forgetting is None:
            return True
        self._report.phase("forgetting")
        done = relief.attempt(
            lambda: forgetting.measure(step, execution, broken_off, final=final),
            self._report,
            step,
            FORGETTING,
            execution.ranks,
        )
        if not done:
            self._give_up("no memory is left for it")
            return True
        (events,) = done
        if events is None:
            return False
        for event in events:
            self._report.event(event)
        when = "forgetting of what is saved" if final else f"forgetting at step {step:,}"
        self._report.say(f"{when}: {words.sentence(events)}")
        self._compare_with_limit(events, execution.plan.max_forgetting, final=final)
        return True

    def _compare_with_limit(self, events: list[ForgettingMeasured], limit: float, *, final: bool) -> None:
        worst = max(events, key=lambda event: words.change(event) or 0.0)
        rise = words.change(worst) or 0.0
        if not limit or rise <= limit:
            return
        text = (
            f"the loss on general text ({worst.part}) has risen by {100 * rise:.1f} % from the base model's, "
            f"more than max_forgetting allows ({100 * limit:g} %)"
        )
        if final:
            fix = "lower the learning rate, or mix general rows into the data"
            self._report.event(FindingReported(severity="warns", text=f"What is saved: {text}.", fix=fix))
        else:
            self._progress.forgot = text

    def _give_up(self, reason: str) -> None:
        self._forgetting = None
        self._progress.adjusted["measure_forgetting"] = False
        self._report.warn(f"forgetting is not measured any more: {reason}")


def _written(folder: Path, forgetting: Forgetting) -> str | None:
    """Keep the base model's predictions on disk; why that failed, None if it did not."""
    try:
        kept.write(folder, forgetting.base, forgetting.parts)
    except (DiskFull, OSError) as error:
        return str(error)
    return None


def of(
    parts: tuple[Part, ...], loaded: Loaded, execution: Execution, report: Report, progress: RunProgress
) -> Watch | None:
    """What watches forgetting; None if the plan does not ask for it."""
    if not execution.plan.measure_forgetting or not parts:
        return None
    return Watch(Forgetting(parts, loaded, execution), report, progress)
