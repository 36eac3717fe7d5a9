"""The last lines of the comparison: the keys that change every figure, and the effect of the last one."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from backend.answers import Answers, Method
from backend.planner.estimates import Comparison
from tui.plain import safe
from tui.widgets.cells import cut

_WIDE = 120
"""Columns of the terminal from which there is space around the keys."""
_PADDING = 4


class WhatIf(Static):
    """`l length 2,048  e epochs 3 ...`; a star if a value is the user's, not the planner's."""

    def __init__(self) -> None:
        super().__init__("", id="what-if", markup=False)

    def show(self, comparison: Comparison, chosen: Method, *, own_rank: bool, moved: str) -> None:
        """Show the values of the `chosen` method's plan; `moved` is the effect of the last key, or empty."""
        below = Content.styled(moved, "$primary") if moved else _changed_hint(comparison.answers)
        self.update(Content("\n").join([self._keys(comparison, chosen, own_rank), below]))

    def _keys(self, comparison: Comparison, chosen: Method, own_rank: bool) -> Content:
        plan, answers = comparison.methods[chosen].plan, comparison.answers
        rank = comparison.methods["lora"].plan.rank
        wide = self.app.size.width >= _WIDE
        device = comparison.device.label if wide else cut(comparison.device.label, max(0, self.app.size.width - 80))
        parts = [
            ("l", "length", f"{plan.max_length:,}", answers.max_length is not None),
            ("e", "epochs", f"{plan.epochs:g}", answers.epochs is not None),
            ("r", "rank", f"{rank}", own_rank),
            ("$", "rent", "", False),
            ("d", "dry run", "", False),
            ("t", "trial", "", False),
            ("g", "GPU", device, answers.gpu is not None),
        ]
        knobs = [_knob(*part, wide=wide) for part in parts]
        airy = Content("  ").join(knobs)
        return airy if airy.cell_length <= self.app.size.width - _PADDING else Content(" ").join(knobs)


def _knob(key: str, name: str, value: str, own: bool, *, wide: bool) -> Content:
    """A key, what it changes, and to what it is set."""
    return Content.assemble(
        (f" {key} " if wide else key, "bold $primary on $panel"),
        (f" {name}", "$faint"),
        safe(f" {value}", lines=False, style="bold") if value else "",
        "*" if own else "",
    )


def _changed_hint(answers: Answers) -> Content:
    own = any((answers.max_length, answers.epochs, answers.effective_batch, answers.set, answers.gpu))
    return Content.styled("* set by you; x resets all of them" if own else "", "$faint")
