"""The data's rows one by one, as the model sees them: back and forth, to the next one of a kind, and with search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, get_current_worker

from backend.errors import UserError
from tui.messages import Looked
from tui.widgets import row_view
from tui.widgets.entry import Entry
from tui.widgets.foot import Foot
from tui.widgets.preview import Preview

if TYPE_CHECKING:
    from backend.data.browse import RowBrowser, Shown

Open = Callable[[], "RowBrowser"]
_HELP = (
    "One row as the model sees it: every mark that the chat template writes is there, and what is between brackets is "
    "what the loss counts. A row is cut where it will be cut in training. Rows are counted from 0. c, d and r go to "
    "the next row that is cut, that is a copy of an earlier one, or that is not used; after the last row they continue "
    "from the first."
)


class _LeftError(Exception):
    """Another row is wanted by now."""


class RowsScreen(Screen[None]):
    """Reads, renders and searches in a thread; a newer question wins over an older one."""

    AUTO_FOCUS: ClassVar[str | None] = "Preview"
    HELP_TEXT: ClassVar[str] = _HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,right", "go(1)", "next", key_display="n"),
        Binding("p,left", "go(-1)", "back", key_display="p"),
        Binding("c", "jump('is_cut')", "cut"),
        Binding("d", "jump('is_duplicate')", "copy"),
        Binding("r", "jump('is_refused')", "not used"),
        Binding("slash", "search", "search", key_display="/"),
        Binding("t", "tokens", "tokens"),
        Binding("escape,q", "leave", "leave", key_display="Esc"),
        Binding("f1,question_mark", "help", "help", key_display="F1", show=False),
    ]

    def __init__(self, open_rows: Open) -> None:
        """`open_rows` reads the data; it is called in the thread."""
        super().__init__()
        self._open = open_rows
        self._browser: RowBrowser | None = None
        self._shown: Shown | None = None
        self._asked = 0
        self._sought = ""
        self._as_tokens = False

    def compose(self) -> ComposeResult:
        """The row, the search below it, the keys."""
        yield Preview(id="row")
        yield Entry(placeholder="search in all rows; Enter goes to the next one that holds it", id="search")
        yield Foot()

    def on_mount(self) -> None:
        """Start with row 0."""
        self.query_one("#search").display = False
        self.query_one(Preview).say("rows", "reading\u2026", "\u2026")
        self._ask(lambda rows: rows.row(0))

    def action_go(self, step: int) -> None:
        """Go to the next row, or the previous one; stop at both ends."""
        if self._shown is not None and self._browser is not None:
            number = min(max(self._shown.row + step, 0), len(self._browser) - 1)
            self._ask(lambda rows: rows.row(number))

    def action_jump(self, what: str) -> None:
        """Go to the next row for which `what` is true; after the last row, continue from the first."""
        self._seek(lambda rows, number: bool(getattr(rows, what)(number)))

    def action_search(self) -> None:
        """Ask for a text to search for. `/` and Enter repeat the search; `n` only goes to the next row."""
        entry = self.query_one("#search", Entry)
        entry.display = True
        entry.focus()

    def on_input_submitted(self) -> None:
        """Seek the text."""
        self._sought = self.query_one("#search", Entry).value
        self._close_search()
        if sought := self._sought:
            self._seek(lambda rows, number: rows.holds(number, sought))

    def action_tokens(self) -> None:
        """As tokens with their ids, or as text."""
        self._as_tokens = not self._as_tokens
        self._draw()

    def action_leave(self) -> None:
        """Close the search, or the screen."""
        if self.query_one("#search").display:
            self._close_search()
        else:
            self.dismiss(None)

    def action_help(self) -> None:
        """Keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self, self.HELP_TEXT))

    def on_looked(self, event: Looked) -> None:
        """A row; an answer to an older question is of no interest."""
        event.stop()
        if event.key != self._asked:
            return
        panel = self.query_one(Preview)
        if event.error is not None:
            panel.say("rows", str(event.error), "\u2717")
        elif event.value is None:
            panel.border_subtitle = "there is none"
        else:
            self._shown = event.value
            self._draw()

    def _close_search(self) -> None:
        self.query_one("#search").display = False
        self.query_one(Preview).focus()

    def _draw(self) -> None:
        shown, browser = self._shown, self._browser
        if shown is None or browser is None:
            return
        panel = self.query_one(Preview)
        panel.show(
            row_view.title(shown, len(browser)), lambda width: row_view.row(shown, width, as_tokens=self._as_tokens)
        )
        panel.scroll_home(animate=False)

    def _seek(self, wanted: Callable[[RowBrowser, int], bool]) -> None:
        start = self._shown.row if self._shown else -1
        self.query_one(Preview).border_subtitle = "looking\u2026"

        def found(rows: RowBrowser) -> Shown | None:
            number = _around(rows, start, partial(_still_wanted, get_current_worker(), partial(wanted, rows)))
            return None if number is None else rows.row(number)

        self._ask(found)

    def _ask(self, call: Callable[[RowBrowser], Shown | None]) -> None:
        self._asked += 1
        self.run_worker(partial(self._answer, self._asked, call), thread=True, exclusive=True, group="row")

    def _answer(self, key: int, call: Callable[[RowBrowser], Shown | None]) -> None:
        """In the thread."""
        try:
            if self._browser is None:
                self._browser = self._open()
            answer = Looked(key, call(self._browser))
        except UserError as error:
            answer = Looked(key, error=error)
        except _LeftError:
            return
        if not get_current_worker().is_cancelled:
            self.post_message(answer)


def _around(rows: RowBrowser, start: int, wanted: Callable[[int], bool]) -> int | None:
    """The next row after `start` that is wanted, else the first one from the start, that row included."""
    after = rows.find(start, 1, wanted)
    if after is not None:
        return after
    before = rows.find(-1, 1, wanted)
    return before if before is not None and before <= start else None


def _still_wanted(worker: Worker[Any], wanted: Callable[[int], bool], number: int) -> bool:
    if worker.is_cancelled:
        raise _LeftError
    return wanted(number)
