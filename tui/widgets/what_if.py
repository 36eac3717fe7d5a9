"""The last lines of the comparison: the keys that change every figure, and the effect of the last one."""

from __future__ import annotations

from collections.abc import Collection
from itertools import accumulate

from textual import events
from textual.content import Content
from textual.widgets import Static

from backend.answers import Method
from backend.planner.estimates import Comparison
from tui.plain import safe
from tui.widgets.cells import cut

_WIDE = 120
"""Width of the terminal from which there is space around the keys."""
_PADDING = 4
_ACTIONS = ("length(1)", "epochs(1)", "rank(1)", "sizes", "rent", "dry_run", "trial", "gpu")
"""What the keys do, in their order."""


class WhatIf(Static):
    """`l length 2,048  e epochs 3 ...`; a star if a value is the user's, not the planner's."""

    def __init__(self) -> None:
        super().__init__("", id="what-if", markup=False)
        self._ends: list[tuple[int, str]] = []
        """The column at which each key's text ends, and the key's action."""

    async def on_click(self, event: events.Click) -> None:
        """A click on a key does what the key does."""
        at = event.get_content_offset(self)
        if at is not None and at.y == 0:
            action = next((action for end, action in self._ends if at.x < end), "")
            if action:
                await self.run_action(f"screen.{action}")

    def show(
        self,
        comparison: Comparison,
        chosen: Method,
        *,
        own: Collection[str],
        moved: str,
        restored: str,
        box: str | None,
    ) -> None:
        """Show the values of the `chosen` method's plan.

        `own` are the plan fields that the user set, `restored` those of an earlier session in words, `box` is the GPU
        of the first screen, and `moved` the effect of the last key.
        """
        is_moved = comparison.answers.gpu != box
        below = Content.styled(moved, "$primary") if moved else _hint(own, restored, is_moved)
        self.update(Content("\n").join([self._keys(comparison, chosen, own, is_moved), below]))

    def _keys(self, comparison: Comparison, chosen: Method, own: Collection[str], is_moved: bool) -> Content:
        plan = comparison.methods[chosen].plan
        rank = comparison.methods["lora"].plan.rank
        wide = self.app.size.width >= _WIDE
        device = comparison.device.label if wide else cut(comparison.device.label, max(0, self.app.size.width - 80))
        parts = [
            ("l", "length", f"{plan.max_length:,}", "max_length" in own),
            ("e", "epochs", f"{plan.epochs:g}", "epochs" in own),
            ("r", "rank", f"{rank}", "rank" in own),
            ("b", "batch", "", False),
            ("$", "rent", "", False),
            ("d", "dry run", "", False),
            ("t", "trial", "", False),
            ("g", "GPU", device, is_moved),
        ]
        knobs = [_knob(*part, wide=wide) for part in parts]
        for gap in ("  ", " "):
            line = Content(gap).join(knobs)
            if line.cell_length <= self.app.size.width - _PADDING:
                break
        ends = accumulate(knob.cell_length + len(gap) for knob in knobs)
        self._ends = list(zip(ends, _ACTIONS, strict=True))
        return line


def _knob(key: str, name: str, value: str, own: bool, *, wide: bool) -> Content:
    """A key, what it changes, and to what it is set."""
    return Content.assemble(
        (f" {key} " if wide else key, "bold $primary on $panel"),
        (f" {name}", "$faint"),
        safe(f" {value}", lines=False, style="bold") if value else "",
        "*" if own else "",
    )


def _hint(own: Collection[str], restored: str, is_moved: bool) -> Content:
    """What x would reset."""
    if restored:
        return safe(f"* from your last run: {restored}; x clears them", lines=False, style="$warning")
    return Content.styled("* set by you; x resets all of them" if own or is_moved else "", "$faint")
