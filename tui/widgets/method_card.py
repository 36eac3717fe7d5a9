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
from backend.planner.estimates import Comparison, MethodEstimate
from tui.theme import MEMORY, METHOD_NAMES
from tui.widgets import figures
from tui.widgets.bar import stacked
from tui.widgets.cells import cut

_NARROW = 30
"""Cells of a column below which labels and figures are closer together."""


class MethodCard(Widget):
    """A column. The selected one has the thick frame; the recommended one says so in its title."""

    DEFAULT_CSS = """
    MethodCard {
        width: 1fr; height: auto; padding: 0 1; border: round $border-blurred; text-wrap: nowrap;
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
        self._seen: tuple[Comparison, int, int, int] | None = None

    def show(self, comparison: Comparison, *, selected: bool, room: int, scale: int, details: int) -> None:
        """Show this method of `comparison`; `scale` is the bytes of a full bar, `room` those of the device."""
        self._seen = (comparison, room, scale, details)
        self._show_title()
        self.set_class(selected, "-selected")
        self.refresh(layout=True)

    def on_resize(self) -> None:
        """The title has other room."""
        self._show_title()

    def _show_title(self) -> None:
        if self._seen is not None:
            title = _title(self._seen[0], self.method)
            fits = not self.size.width or cell_len(title) + 6 <= self.outer_size.width
            self.border_title = Content(title if fits else _title(self._seen[0], self.method, in_short=True))

    def on_click(self, event: events.Click) -> None:
        """Select it."""
        event.stop()
        self.post_message(self.Wanted(self.method))

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """A line each."""
        return len(self._lines(width)) if self._seen else 7

    def render(self) -> Content:
        """The lines."""
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        if self._seen is None or width < 10:
            return []
        comparison, room, scale, details = self._seen
        estimate = comparison.methods[self.method]
        lines = [
            _fit(estimate, room, width),
            stacked(estimate.memory.by_category, width, scale, room),
            *_spanned("time", figures.hours(estimate.hours.point), figures.hour_range(estimate.hours), width),
            *_spanned("cost", figures.cost(estimate.cost_usd), figures.cost_range(estimate.cost_usd), width),
            _figure("quality", estimate.quality_ceiling, width),
            _figure("forgetting", _risk(estimate, width), width, wide=11),
            _figure("saves", units.disk(estimate.checkpoint_bytes), width),
        ]
        if details > 1:
            lines += _more(estimate, width)
        return [*lines, *_categories(comparison, estimate, width)] if details else lines


def _title(comparison: Comparison, method: Method, *, in_short: bool = False) -> str:
    """The method's name, and whether the planner recommends it (in short: the star alone) or the user set it."""
    name = METHOD_NAMES[method]
    if comparison.recommended != method:
        return name
    why = figures.why_first(comparison)
    return f"{name} ★" if in_short and why.startswith("★") else f"{name} {why}"


def _fit(estimate: MethodEstimate, room: int, width: int) -> Content:
    """`✓ fits, 4.4 GiB to spare   18.5 of 22.9 GiB`; without the spare memory in a narrow column."""
    word, of_room = figures.fit_word(estimate), _of_room(estimate, room, width)
    left = room - estimate.memory.peak_bytes
    spare = f", {units.memory(abs(left))} {'to spare' if left >= 0 else 'too much'}"
    if word.cell_length + len(spare) + 2 + len(of_room) <= width:
        word = Content.assemble(word, (spare, "$faint"))
    return _ends(word, of_room, width)


def _of_room(estimate: MethodEstimate, room: int, width: int) -> str:
    """`12.4 of 23.5 GiB`; without the unit if the column is narrow, as the legend names it."""
    text = figures.of_room(estimate.memory.peak_bytes, room)
    return text if figures.fit_word(estimate).cell_length + 2 + len(text) <= width else text.rpartition(" ")[0]


def _risk(estimate: MethodEstimate, width: int) -> str:
    """`low–moderate`, which a narrow column has no room for: `low–mid` there."""
    risk = estimate.forgetting_risk.replace(" to ", "–")
    return risk if width >= _NARROW else risk.replace("moderate", "mid")


def _more(estimate: MethodEstimate, width: int) -> list[Content]:
    """Speed, what is trained, and how."""
    plan = estimate.plan
    batch = f"{plan.micro_batch} at a time" + (", recomputed" if plan.checkpointing else "")
    times = [_figure(f"  {name}", figures.hours(hours), width) for name, hours in estimate.hours_by_phase.items()]
    return [
        *([Content.styled("of that time".ljust(width), "$faint"), *times] if times else []),
        _figure("speed", figures.speed(estimate.tokens_per_second.point), width),
        _figure("steps", f"{estimate.steps:,} × {plan.effective_batch} rows", width),
        _figure("trains", units.count(estimate.trainable_parameters), width),
        _figure("batch", batch, width),
        _figure("optimizer", plan.optimizer.replace("_", " "), width),
        _figure("rate", f"{plan.learning_rate:g}", width),
        _figure("disk", units.disk(estimate.host.disk_bytes), width),
        _figure("host RAM", units.gib(estimate.host.ram_bytes), width),
    ]


def _categories(comparison: Comparison, estimate: MethodEstimate, width: int) -> list[Content]:
    """Memory by category, for the categories that at least one method needs."""
    lines = [Content(""), Content.styled(f"the peak is in {estimate.memory.peak_phase}".ljust(width), "$faint")]
    for category, sign in MEMORY.items():
        if any(x.memory.by_category.get(category) for x in comparison.methods.values()):
            size = estimate.memory.by_category.get(category, 0)
            label = Content.assemble((sign.glyph, sign.variable), f" {category}")
            lines.append(_ends(label, units.memory(size) if size else "–", width))
    return lines


def _ends(left: Content, right: str, width: int, style: str = "") -> Content:
    """`left` at one end, `right` at the other."""
    gap = max(1, width - left.cell_length - cell_len(right))
    return Content.assemble(left, " " * gap, (right, style))


def _figure(label: str, value: str, width: int, wide: int = 0) -> Content:
    """`label   value`; `wide` cells for the label, fewer of them in a narrow column unless given."""
    wide = wide or (9 if width < _NARROW else 11)
    return Content.assemble((label.ljust(wide), "$faint"), cut(value, width - wide))


def _spanned(label: str, value: str, span: str, width: int) -> list[Content]:
    """A figure with its range at the line's end; closer together, or in two lines, if there is no room."""
    line = _figure(label, value, width)
    if not span:
        return [line]
    for one in (line, _figure(label, value, width, wide=7)):
        if one.cell_length + 1 + cell_len(span) <= width:
            return [_ends(one, span, width, "$faint")]
    return [line, _ends(Content(""), span, width, "$faint")]
