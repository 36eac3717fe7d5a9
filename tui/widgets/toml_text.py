"""TOML with its keys, strings, numbers and comments in colours of their own, as the presets' screens show it."""

from __future__ import annotations

from functools import lru_cache

from pygments.token import Comment, Keyword, Literal, Name, Number, String, Token
from rich.text import Text
from textual.content import Content
from textual.highlight import HighlightTheme, highlight
from textual.style import Style
from textual.widgets import TextArea

_BASE = "$text"
"""The style that the library gives to all text: its colour depends on the background, which an editor doesn't know."""


class TomlColours(HighlightTheme):
    """A colour of the theme for each kind of token; all of them are readable on its background."""

    STYLES = {  # noqa: RUF012  (as the library declares it)
        Comment: "$faint italic",
        Name: "$primary",
        Keyword: "bold $secondary",
        Literal: "$warning",
        Number: "$warning",
        String: "$success",
        Token.Error: "",
    }


@lru_cache(512)
def lines(text: str) -> tuple[Content, ...]:
    """Each line of `text`, which must be harmless already (`tui.plain`), in colours."""
    shown = highlight(text, language="toml", theme=TomlColours)
    shown = Content(shown.plain, [span for span in shown.spans if span.style != _BASE])
    return tuple(shown.split("\n", allow_blank=True)) or (Content(""),)


class TomlArea(TextArea):
    """An editor that colours each line by itself; its text stays as it is."""

    def get_line(self, line_index: int) -> Text:
        """The line with its colours."""
        line = super().get_line(line_index)
        for start, end, style in lines(line.plain)[0].spans:
            parsed = Style.parse(style, self.app.theme_variables) if isinstance(style, str) else style
            line.stylize(parsed.rich_style, start, end)
        return line
