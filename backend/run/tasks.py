"""Scores of a task in words."""

from __future__ import annotations

from collections.abc import Sequence

from backend.run.events import TaskScored


def sentence(event: TaskScored) -> str:
    """`number: 31 % of 50 right (20 to 45 %)`."""
    interval = f" ({_percent(event.low)} to {_percent(event.high)} %)" if event.low is not None else ""
    return f"{event.name}: {_percent(event.score)} % of {event.rows:,} right{interval}"


def short(event: TaskScored) -> str:
    """`31 % (20 to 45)`."""
    return f"{_percent(event.score)} % ({_percent(event.low)} to {_percent(event.high)})"


def short_change(events: Sequence[TaskScored]) -> str:
    """`31 % (20 to 45), before 12 %`."""
    first, last = events[0], events[-1]
    return f"{short(last)}{_when(last)}" if first is last else f"{short(last)}, before {_percent(first.score)} %"


def change(events: Sequence[TaskScored]) -> str:
    """Before and after, as one sentence; empty if nothing was scored."""
    if not events:
        return ""
    first, last = events[0], events[-1]
    if first is last:
        return f"{sentence(last)}{_when(last)}"
    return f"{sentence(last)}, before {_percent(first.score)} %"


def of_trained(events: Sequence[TaskScored]) -> TaskScored | None:
    """The last score, if it was taken after training began: a run that was stopped has the one before it alone."""
    return events[-1] if events and events[-1].step else None


def _when(event: TaskScored) -> str:
    return "" if event.step else " before training"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f}"
