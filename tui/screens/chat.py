"""Talking with what a run trained: `fttui chat` in a process of its own, the base model beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from backend.run.folder import RunFolder
from tui.plain import safe
from tui.screens import child
from tui.widgets.entry import Entry

_LINES = 400
"""Lines of the conversation that are kept."""
_AS_A_PIPE = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
"""Each line arrives when it is printed."""


class ChatScreen(ModalScreen[None]):
    """Enter asks what was typed; Esc ends the process."""

    DEFAULT_CSS = """
    ChatScreen #chat { width: 96%; height: 90%; background: $surface; border: round $border; padding: 0 1;
        border-title-style: bold; border-title-color: $primary; border-subtitle-color: $faint; }
    ChatScreen #said { height: 1fr; }
    """
    AUTO_FOCUS: ClassVar[str | None] = "Entry"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "close"),
        Binding("pageup", "scroll_said(-10)", "up", show=False),
        Binding("pagedown", "scroll_said(10)", "down", show=False),
    ]

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._said: deque[str] = deque(maxlen=_LINES)

    def compose(self) -> ComposeResult:
        """The conversation, and the line below it."""
        with Vertical(id="chat") as box:
            box.border_title = safe(f"Chat with {self._folder.name}", lines=False)
            box.border_subtitle = Content("Enter asks · /reset · /adapter on|off|both · Esc closes")
            with VerticalScroll(id="said", can_focus=False):
                yield Static("loading the model\u2026", markup=False)
            yield Entry(placeholder="ask something", id="ask")

    def on_mount(self) -> None:
        """Load the model at once."""
        self.run_worker(self._talk(), exclusive=True)

    async def on_input_submitted(self) -> None:
        """Ask; a question may come before the model is loaded."""
        entry = self.query_one(Entry)
        asked, entry.value = entry.value.strip(), ""
        if asked and self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):  # it ended: its last words are shown
                self._process.stdin.write(f"{asked}\n".encode("utf-8", "replace"))
                await self._process.stdin.drain()

    def action_scroll_said(self, by: int) -> None:
        """Scroll what was said."""
        self.query_one("#said").scroll_relative(y=by, animate=False)

    async def on_unmount(self) -> None:
        """End the process, as nobody reads its output any more."""
        await child.end_with(self, self._process)

    async def _talk(self) -> None:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "tui", "chat", self._folder.reference)
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env={**os.environ, **_AS_A_PIPE}
        )
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._said.append(line.decode(errors="replace").rstrip())
            self.query_one("#said Static", Static).update(safe("\n".join(self._said)))
            self.query_one("#said").scroll_end(animate=False)
