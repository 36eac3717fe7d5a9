"""`--help`: its sentences are wrapped to the terminal, not as the docstrings are in the source."""

from __future__ import annotations

import re
from typing import Any

from cyclopts.help import DefaultFormatter, HelpPanel
from rich.console import Console, ConsoleOptions
from rich.text import Text

_NOTHING = ("()", '""', "False")
"""Defaults that say nothing to a reader: no list, no text, a flag that is not given."""
_WITHIN_A_PARAGRAPH = re.compile(r"(?<=[^\n])\n(?=[^\n ])")
"""A line break between two lines of prose; examples are indented."""
_ANY = re.compile(r"\s+")


class HelpText(DefaultFormatter):
    """Description and panels without the line breaks of the source."""

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Print what stands above the panels."""
        _unwrap(description)
        super().render_description(console, options, description)

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel."""
        for entry in panel.entries:
            _unwrap(entry.description, _ANY)
        told = [x.copy(default=None) if x.default in _NOTHING else x for x in panel.entries]
        super().__call__(console, options, panel.copy(entries=told))


def _unwrap(shown: object, breaks: re.Pattern[str] = _WITHIN_A_PARAGRAPH) -> None:
    text = getattr(shown, "primary_renderable", None)
    if isinstance(text, Text):
        text.plain = breaks.sub(" ", text.plain)
