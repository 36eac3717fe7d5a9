"""The panel beside a question: what stands behind the highlighted answer."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.plain import plain, safe

Fact = tuple[str, str | Content]


class Preview(VerticalScroll):
    """A titled, scrollable panel of prepared content. Tab reaches it; arrows scroll it."""

    DEFAULT_CSS = """
    Preview {
        border: round $border-blurred; padding: 0 1; height: 1fr; scrollbar-size-vertical: 1;
        border-title-color: $foreground; border-title-style: bold; border-subtitle-color: $faint;
        &:focus { border: round $border; }
    }
    Preview > Static { height: auto; }
    """

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static("", markup=False)

    def show(self, title: str, content: Content, subtitle: str = "") -> None:
        """Show this."""
        self.border_title = safe(title, lines=False)
        self.border_subtitle = safe(subtitle, lines=False)
        self.query_one(Static).update(content)

    def say(self, title: str, text: str, sign: str = "") -> None:
        """Just a sentence."""
        self.show(title, Content.assemble((f"{sign} " if sign else "", "bold"), (plain(text), "$faint")))


def facts(rows: Iterable[Fact], wide: int = 12) -> Content:
    """`label   value` a line."""
    lines = [
        Content.assemble((label.ljust(wide), "$faint"), value if isinstance(value, Content) else safe(value))
        for label, value in rows
    ]
    return Content("\n").join(lines)


def sentences(texts: Iterable[str], sign: str = "·", style: str = "$foreground") -> Content:
    """`· sentence` a paragraph."""
    return Content("\n").join([Content.assemble((f"{sign} ", f"bold {style}"), safe(text)) for text in texts])
