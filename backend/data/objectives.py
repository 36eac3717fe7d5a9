"""Which objectives data carries: dpo needs pairs of answers, kto needs marks."""

from __future__ import annotations

from backend.data.layout.kinds import Layout
from backend.errors import UserError

_LACKS = {
    "dpo": "dpo needs a better and a worse answer in each row (such as columns chosen and rejected), which {} does not "
    "have; use sft, or kto for single answers that are marked good or bad",
    "kto": "kto needs a column of true and false for good and bad answers (label; not of 0 and 1, nor of other words), "
    "which {} does not have; use sft, or dpo for pairs of answers",
}
MARKS = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False, "no": False}
"""Cells of a column of marks -> whether the answer is good."""


def mark(cell: object) -> bool | None:
    """Whether a cell marks its answer as good; None if it says nothing."""
    return MARKS.get(str(cell).strip().lower())


def of(layout: Layout) -> tuple[str, ...]:
    """What rows of this layout can be trained with."""
    return ("sft", *(["dpo"] if layout.preference else []), *(["kto"] if layout.verdict else []))


def refuse(objective: str, reference: str, possible: tuple[str, ...]) -> None:
    """Raise UserError (field `objective`) if the data of `reference` lacks what the objective needs."""
    if objective not in possible:
        raise UserError(f"objective: {_LACKS[objective].format(reference)}", "objective")
