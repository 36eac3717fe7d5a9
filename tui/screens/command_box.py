"""One of our commands, run in its own process: a box shows what it prints, and closing the box ends it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.plain import safe
from tui.screens import child

COMPLAINT_LINES = 12


class CommandBox(ModalScreen[bool]):
    """Shows the command's table, or its error. Dismissed with True if there is a table."""

    DEFAULT_CSS = """
    CommandBox { align: center middle; }
    CommandBox > VerticalScroll {
        width: 78; max-width: 100%; height: auto; max-height: 100%; padding: 0 1; background: $surface;
        border: round $border; border-title-style: bold; border-title-color: $primary; border-subtitle-color: $faint;
    }
    """
    AUTO_FOCUS: ClassVar[str | None] = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_box(-1)", "scroll", show=False),
        Binding("down", "scroll_box(1)", "scroll", show=False),
        Binding("pageup", "scroll_box(-10)", "scroll", show=False),
        Binding("pagedown", "scroll_box(10)", "scroll", show=False),
    ]
    TITLE_TEXT: ClassVar[str]
    BEGIN: ClassVar[str]
    """What is shown before the command prints anything."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__()
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._has_table = False

    def compose(self) -> ComposeResult:
        """What it does, until its table is there."""
        with VerticalScroll(id="box", can_focus=False) as box:
            box.border_title = Content(self.TITLE_TEXT)
            box.border_subtitle = Content("Esc closes")
            yield Static(self.BEGIN, id="found", markup=False)

    def begin(self) -> None:
        """Start the command."""
        self.run_worker(self._run(), exclusive=True)

    def on_line(self, line: str) -> None:
        """The command wrote `line` to its standard error."""

    def ended(self) -> None:
        """The command has ended, and its table or error is shown."""

    def result(self, printed: str, complaint: str) -> str:
        """What is shown when the command has ended, of its standard output and its standard error."""
        return printed or complaint

    def show(self, text: Content) -> None:
        """Show this."""
        self.query_one("#found", Static).update(text)

    def action_scroll_box(self, by: int) -> None:
        """Scroll the table, which may be longer than the terminal."""
        self.query_one("#box").scroll_relative(y=by, animate=False)

    def action_close(self) -> None:
        """Back to the screen below."""
        self.dismiss(self._has_table)

    async def on_unmount(self) -> None:
        """End the process, as nobody waits for it any more."""
        await child.end_with(self, self._process)

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        printed, complaint = await asyncio.gather(self._process.stdout.read(), self._follow(self._process.stderr))
        await self._process.wait()
        table = printed.decode(errors="replace").strip()
        self._has_table = bool(table)
        self.show(safe(self.result(table, complaint)))
        self.ended()

    async def _follow(self, errors: asyncio.StreamReader) -> str:
        """Its last lines; each is passed to `on_line` as it comes."""
        lines: deque[str] = deque(maxlen=COMPLAINT_LINES)
        async for raw in errors:
            lines.append(raw.decode(errors="replace").rstrip())
            self.on_line(lines[-1])
        return "\n".join(lines).strip()
