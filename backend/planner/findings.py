"""What was found in the data under a plan: the report's findings, what `max_length` cuts, a batch beyond the data."""

from __future__ import annotations

from collections.abc import Iterator

from backend import constants
from backend.data import split
from backend.data.finding import OF_SFT, Finding, by_severity, count_of, finding
from backend.data.preflight.used import used
from backend.data.report import DataReport
from backend.plan import counts
from backend.plan.plan import Plan

MOST_TIMES = 4
"""A general row may come this often in an epoch; a choice, not a measurement."""


def findings(data: DataReport, plan: Plan) -> tuple[Finding, ...]:
    """All of them, the most severe first."""
    found = [*used(data, plan.max_length).findings, *_batch(data, plan), *_repeated_general(data, plan)]
    return by_severity(x for x in found if plan.objective == "sft" or x.kind not in OF_SFT)


def stops(found: tuple[Finding, ...]) -> tuple[str, ...]:
    """What forbids training on this data, each with what fixes it."""
    return tuple(sentence(x) for x in found if x.severity == "stops")


def sentence(found: Finding) -> str:
    """The finding and its fix as one sentence: an error of a command."""
    return f"{found.text.removesuffix('.')}; {found.fix}" if found.fix else found.text


def _repeated_general(data: DataReport, plan: Plan) -> Iterator[Finding]:
    """The general rows that ship are few: mixed into much data they come so often that they are learned by heart."""
    if not plan.replay_fraction or plan.general_data:
        return
    few = sum(part.rows for part in constants.general().part) // 2
    times = counts.replay_rows(data.split(plan.max_length, plan.eval_fraction)[0], plan) / few
    if times > MOST_TIMES:
        text = (
            f"Of the general text that ships {few} rows are learned (replay_fraction), each {times:.0f} times an epoch."
        )
        yield finding("warns", "general-repeated", text, "--set general_data=FILE with more text of your own choice")


def _batch(data: DataReport, plan: Plan) -> Iterator[Finding]:
    rows = used(data, plan.max_length).rows
    train = rows - split.count(rows, plan.eval_fraction)
    train += counts.replay_rows(train, plan)
    if 0 < train < plan.effective_batch:
        are = "is" if train == 1 else "are"
        text = f"The effective batch of {plan.effective_batch} rows is larger than the data: {count_of(train)} {are}"
        text += " trained on, so that an epoch is a single step."
        yield finding("warns", "batch-beyond-data", text, f"--effective-batch {max(1, train // 4)}, or more rows")
