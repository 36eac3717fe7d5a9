"""The panel next to a question: more about the highlighted answer."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.reactive import Reactive

from tui.plain import plain, safe
from tui.widgets.prose import Build, Prose, wrapped

Fact = tuple[str, str | Content]


class Preview(VerticalScroll):
    """A titled, scrollable panel. Tab reaches it; arrows scroll it."""

    DEFAULT_CSS = """
    Preview {
        border: round $border-blurred; padding: 0 1; height: 1fr; scrollbar-size-vertical: 1;
        border-title-color: $foreground; border-title-style: bold; border-subtitle-color: $faint;
        &:focus { border: round $border; }
    }
    """

    virtual_size = Reactive(Size(0, 0))
    """No layout of the screen: a scroll bar that appears or disappears asks for one anyway."""

    def compose(self) -> ComposeResult:
        """One text."""
        yield Prose()

    def show(self, title: str, build: Build, subtitle: str = "") -> None:
        """Show this."""
        self.border_title = safe(title, lines=False)
        self.border_subtitle = safe(subtitle, lines=False)
        self.query_one(Prose).show(build)

    def say(self, title: str, text: str, sign: str = "") -> None:
        """Show just a sentence."""
        sentence = Content.assemble((f"{sign} " if sign else "", "bold"), (plain(text), "$faint"))
        self.show(title, lambda width: wrapped(sentence, width, 2 if sign else 0))


def facts(rows: Iterable[Fact], width: int, wide: int = 12) -> Content:
    """`label   value` a line, the value wrapped within its column."""
    lines = [
        wrapped(
            Content.assemble((label.ljust(wide), "$faint"), value if isinstance(value, Content) else safe(value)),
            width,
            wide,
        )
        for label, value in rows
    ]
    return Content("\n").join(lines)
