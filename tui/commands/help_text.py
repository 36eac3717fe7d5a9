"""`--help`: the text of an option is wrapped to the terminal, not as its docstring is in the source."""

from __future__ import annotations

from cyclopts.help import DefaultFormatter, HelpPanel
from rich.console import Console, ConsoleOptions
from rich.text import Text

_NOTHING = ("()", '""', "False")
"""Defaults that say nothing to a reader: no list, no text, a flag that is not given."""


class HelpText(DefaultFormatter):
    """Panels of options and commands, without the line breaks of the source."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel."""
        for entry in panel.entries:
            text = getattr(entry.description, "primary_renderable", None)
            if isinstance(text, Text):
                text.plain = " ".join(text.plain.split())
        told = [x.copy(default=None) if x.default in _NOTHING else x for x in panel.entries]
        super().__call__(console, options, panel.copy(entries=told))
