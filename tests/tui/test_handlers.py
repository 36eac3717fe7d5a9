"""Textual finds a message's handler by its name: a handler with a name of no message is silently never called."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from textual.message import Message

import tui

_CALLED_DIRECTLY = {"on_line"}
"""Called directly by screens that run a process, for each line that it prints."""


def _handlers(kind: type[Message]) -> Iterator[str]:
    for message in kind.__subclasses__():
        yield message.handler_name
        yield from _handlers(message)


def test_every_handler_is_that_of_a_message() -> None:
    modules = [found.name for found in pkgutil.walk_packages(tui.__path__, "tui.") if "__main__" not in found.name]
    files = [Path(str(importlib.import_module(name).__file__)) for name in modules]
    known = {*_handlers(Message), *_CALLED_DIRECTLY}
    handlers = {
        name for file in files for name in re.findall(r"^ {4}(?:async )?def (on_\w+)\(self", file.read_text(), re.M)
    }
    assert handlers > {"on_mount", "on_plan_settings_moved"}
    assert handlers - known == set()
