"""One run in a few figures: what a list of runs shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.errors import UserError
from backend.plan.job import Job
from backend.run import forgetting, keeping, tasks
from backend.run.events import RunFinished
from backend.run.folder import RunFolder
from backend.run.history import History, read

_FORGETTING = ("loss", "base_loss", "kl", "low", "high")


@dataclass(frozen=True)
class Summary:
    """A run in a list. Figures that are not known (yet) are None."""

    name: str
    state: str
    """running, interrupted (its process is gone), done, stopped, paused, failed, queued, or damaged."""
    method: str = ""
    model: str = ""
    data: str = ""
    step: int = 0
    total_steps: int = 0
    loss_before: float | None = None
    """Held-out loss before training."""
    loss: float | None = None
    """Held-out loss of what was saved; the last one measured if nothing is yet."""
    predicted_peak_bytes: int | None = None
    peak_bytes: int | None = None
    predicted_hours: float | None = None
    hours: float | None = None
    predicted_cost_usd: float | None = None
    cost_usd: float | None = None
    predicted_tokens_per_second: float | None = None
    tokens_per_second: float | None = None
    predicted_phases: Mapping[str, int] = field(default_factory=dict)
    """Peak bytes of load, train, eval ..."""
    phases: Mapping[str, int] = field(default_factory=dict)
    """The same, measured."""
    corrected_by_runs: int = 0
    """Earlier runs on this box that the predicted figures were corrected by."""
    corrects: bool = False
    """This run corrects the next prediction on its box."""
    note: str = ""
    """What the user noted about it."""
    result_step: int | None = None
    """Step whose weights were saved."""
    forgetting: str | None = None
    """What was forgotten of general text, in a sentence; None if it was not measured."""
    forgetting_by_part: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """Part of the general text -> loss, base_loss, kl, and low and high of the relative change."""
    task: str | None = None
    """The task's score after and before training, in a sentence; None if none was scored."""
    task_before: float | None = None
    task_score: float | None = None
    ended_early: str | None = None
    """Why the run ended before its last step without being asked to."""


def summarise(folder: RunFolder) -> Summary:
    """Read a run folder; a damaged one is listed as such."""
    try:
        job = folder.job()
    except UserError:
        return Summary(folder.name, "damaged")
    history = read(folder.events_file)
    measured = forgetting.latest(history.forgetting)
    predicted, finished = job.predicted, history.finished or RunFinished()
    return Summary(
        name=folder.name,
        state=state_of(folder, history),
        method=job.plan.method,
        model=job.model,
        data=job.data,
        step=history.step,
        total_steps=history.total_steps,
        loss_before=history.evaluations[0].loss if history.evaluations else None,
        loss=history.result_loss,
        result_step=history.result_step,
        ended_early=finished.reason,
        forgetting=forgetting.sentence(measured) or None,
        task=tasks.change(history.tasks) or None,
        task_before=next((x.score for x in history.tasks if not x.step), None),
        task_score=trained.score if (trained := tasks.of_trained(history.tasks)) else None,
        forgetting_by_part={x.part: {name: getattr(x, name) for name in _FORGETTING} for x in measured},
        predicted_peak_bytes=_predicted_peak(job),
        peak_bytes=history.peak_bytes or None,
        predicted_hours=predicted.hours if predicted else None,
        hours=finished.hours,
        predicted_cost_usd=predicted.cost_usd if predicted else None,
        cost_usd=_cost(job, finished.hours),
        predicted_tokens_per_second=predicted.tokens_per_second if predicted else None,
        tokens_per_second=finished.tokens_per_second,
        predicted_phases=predicted.phases if predicted else {},
        phases=phase_peaks(history),
        corrected_by_runs=predicted.corrected_by_runs if predicted else 0,
        corrects=bool(history.calibration and history.calibration.kept),
        note=keeping.note(folder),
    )


def state_of(folder: RunFolder, history: History) -> str:
    """The run's state in the one word that every list and screen shows: see `Summary.state`."""
    return history.state if history.finished else folder.state_without_end()


def phase_peaks(history: History) -> dict[str, int]:
    """Measured peak bytes of each phase; empty until the run has ended."""
    return {name: phase.peak_bytes for name, phase in history.measured.phases.items()}


def _predicted_peak(job: Job) -> int | None:
    """What the measured peak is compared with: the process on a CPU, what torch allocates on a GPU."""
    if job.predicted is None:
        return None
    return job.predicted.peak_bytes if job.device == "cpu" else job.predicted.peak_allocated_bytes


def _cost(job: Job, hours: float | None) -> float | None:
    """Hours times the price that the plan was made with, for each of its devices."""
    price = job.predicted.price_usd_per_hour if job.predicted else None
    return hours * price * job.paid_devices if hours is not None and price is not None else None


class Summaries:
    """The summaries of runs; a run that can't have changed since the last time is not read again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, Summary]] = {}

    def read(self, folders: Sequence[RunFolder]) -> list[Summary]:
        """The summaries of `folders`, in the same order. Another thread may call this at the same time."""
        before, found = self._known, {}
        for folder in folders:
            stamp, known = _stamp(folder), before.get(folder.name)
            found[folder.name] = known if known and known[0] == stamp else (stamp, summarise(folder))
        self._known = found
        return [summary for _, summary in found.values()]


def _stamp(folder: RunFolder) -> object:
    """Changes after an event, if a file beside it is made or replaced (a note), and if a trainer comes or goes."""
    found: list[object] = [folder.is_alive()]
    for path in (folder.path, folder.events_file):
        try:
            state = path.stat()
        except OSError:
            continue
        found.append((state.st_size, state.st_mtime_ns))
    return tuple(found)
