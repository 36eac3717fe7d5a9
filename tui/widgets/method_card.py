"""One method on the compare screen: fit, memory bar, time, money, and what to expect of it."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from backend import units
from backend.answers import Method
from backend.planner.outlook import Comparison, Outlook
from tui.theme import MEMORY, METHOD_NAMES
from tui.widgets import figures
from tui.widgets.bar import stacked
from tui.widgets.cells import cut

_LABEL = 11


class MethodCard(Widget):
    """A column. The selected one has the thick frame; the recommended one says so in its title."""

    DEFAULT_CSS = """
    MethodCard {
        width: 1fr; height: auto; padding: 0 1; border: round $border-blurred;
        border-title-style: bold; border-title-color: $foreground; border-subtitle-color: $faint;
    }
    MethodCard.-selected { border: heavy $border; border-title-color: $primary; }
    """
    ALLOW_SELECT: ClassVar[bool] = False

    class Wanted(Message):
        """This card was clicked."""

        def __init__(self, method: Method) -> None:
            super().__init__()
            self.method = method

    def __init__(self, method: Method) -> None:
        super().__init__(id=f"card-{method}")
        self.method = method
        self._content = Content("")
        self._seen: tuple[Comparison, int, int, bool] | None = None

    def show(self, comparison: Comparison, *, selected: bool, room: int, scale: int, detailed: bool) -> None:
        """Show this method of `comparison`; `scale` is the bytes of a whole bar, `room` what the device has."""
        self._seen = (comparison, room, scale, detailed)
        recommended = comparison.recommended == self.method
        name = METHOD_NAMES[self.method]
        self.border_title = Content(f"{name} ★ recommended" if recommended else name)
        self.set_class(selected, "-selected")
        self.refresh(layout=True)

    def on_click(self, event: events.Click) -> None:
        """Select it."""
        event.stop()
        self.post_message(self.Wanted(self.method))

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """A line each."""
        return len(self._lines(width)) if self._seen else 8

    def render(self) -> Content:
        """The lines."""
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        if self._seen is None or width < 10:
            return []
        comparison, room, scale, detailed = self._seen
        outlook = comparison.methods[self.method]
        lines = [
            _ends(figures.fit_word(outlook), figures.of_room(outlook.memory.peak_bytes, room), width),
            stacked(outlook.memory.by_category, width, scale, room),
            _figure("time", figures.hours(outlook.hours.point), figures.hour_range(outlook.hours), width),
            _figure("cost", figures.cost(outlook.cost_usd), figures.cost_range(outlook.cost_usd), width),
            _figure("ceiling", outlook.quality_ceiling, "", width),
            _figure("forgetting", outlook.forgetting_risk, "", width),
            _figure("saves", units.disk(outlook.checkpoint_bytes), "", width),
        ]
        return [*lines, *_details(outlook, width)] if detailed else lines


def _details(outlook: Outlook, width: int) -> list[Content]:
    """What there is room for on a tall terminal: speed, what trains, and the memory by category."""
    plan = outlook.plan
    speed = outlook.tokens_per_second.point
    batch = f"{plan.micro_batch} at a time" + (", recomputed" if plan.checkpointing else "")
    lines = [
        _figure("speed", f"{speed:,.0f} tok/s" if figures.is_known(speed) else figures.UNKNOWN, "", width),
        _figure("steps", f"{outlook.steps:,} of {plan.effective_batch} rows", "", width),
        _figure("trains", units.count(outlook.trainable_parameters), "", width),
        _figure("batch", batch, "", width),
        _figure("optimizer", plan.optimizer.replace("_", " "), "", width),
        _figure("rate", f"{plan.learning_rate:g}", "", width),
        _figure("disk", units.disk(outlook.disk_bytes), "", width),
        Content.styled(f"at the peak: {outlook.memory.peak_phase}", "$faint"),
    ]
    for category, sign in MEMORY.items():
        size = outlook.memory.by_category.get(category, 0)
        amount = units.memory(size) if size else "–"
        label = Content.assemble((sign.glyph, sign.variable), f" {category}")
        lines.append(_ends(label, amount, width))
    return lines


def _ends(left: Content, right: str, width: int) -> Content:
    """`left` at one end, `right` at the other."""
    gap = max(1, width - left.cell_length - cell_len(right))
    return Content.assemble(left, " " * gap, right)


def _figure(label: str, value: str, span: str, width: int) -> Content:
    """`label   value   range`, the range where there is room for it."""
    room = width - _LABEL
    value = cut(value, room)
    rest = room - cell_len(value)
    shown = span.rjust(rest) if span and cell_len(span) + 2 <= rest else ""
    return Content.assemble((label.ljust(_LABEL), "$faint"), value, (shown, "$faint"))
