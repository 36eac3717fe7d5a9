"""The runs of this box: state, loss, predicted and measured figures; filter, sort, and compare two of them."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import DataTable, Static
from textual.widgets.data_table import Column
from textual.worker import get_current_worker

from backend import units
from backend.errors import UserError
from backend.launch.queue import waiting
from backend.run import control, keeping
from backend.run import folder as run_folder
from backend.run.folder import RunFolder
from backend.run.summary import Summaries, Summary
from tui.messages import Listed
from tui.panels.overlay import MOST
from tui.plain import plain
from tui.screens.ask import Ask
from tui.screens.confirm import Confirm
from tui.screens.live import STOP
from tui.screens.one_line import OneLine
from tui.widgets.entry import Entry
from tui.widgets.foot import Foot
from tui.widgets.runs_rows import COLUMNS, chosen, details, row
from tui.wizard import Wizard, wizard_of

_OTHER_COLUMNS = 50
"""Cells that all columns but the first take."""
_HELP = (
    "Every run of this box, the newest first. Peak and time are measured; the prediction is below them. "
    "Enter opens a run: live while it trains, its result when it has ended. / shows only the runs that match the "
    "words that you type; s sorts by the next column, S reverses the order. Space marks a run, and c compares up to "
    "four marked runs in one chart, or the marked one and the one under the cursor. On the run under the cursor: r "
    "resumes it in the background, x stops it with a checkpoint, n keeps a note, e renames it, d deletes it with its "
    "result after a question, y copies its name."
)
_LEAST_NAME = 16
_TALL_LINES = 30
"""Lines of a screen from which the run under the cursor is described in full."""
_READ_AGAIN_SECONDS = 2.0
_LEAST_PAUSE = 20.0
"""The pause is at least this many times as long as reading took: a run of a million events takes two seconds."""
_RESUMABLE = ("stopped", "paused", "interrupted", "failed", "queued")
_NO_RUNS = "No run has been made on this box yet: finish the wizard, or use `fttui train`."


class RunsScreen(Screen[None]):
    """A table of runs."""

    HELP_TEXT: ClassVar[str] = _HELP
    AUTO_FOCUS: ClassVar[str | None] = "DataTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", key_display="Enter", priority=True),
        Binding("escape", "back", "back", key_display="Esc"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("S", "turn", "reverse the order", show=False),
        Binding("space", "mark", "mark", key_display="Space"),
        Binding("c", "compare", "compare"),
        Binding("r", "resume", "resume"),
        Binding("x", "stop", "stop"),
        Binding("n", "note", "note"),
        Binding("e", "rename", "rename", show=False),
        Binding("d", "delete", "delete"),
        Binding("s", "sort", "sort"),
        Binding("y", "copy", "copy name", show=False),
        Binding("f1,question_mark", "help", "help", key_display="?"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._runs: list[Summary] = []
        self._summaries = Summaries()
        self._next: Timer | None = None
        self._pause_seconds = _READ_AGAIN_SECONDS
        self._marked: list[str] = []
        self._column, self._backwards = COLUMNS[0], True

    def compose(self) -> ComposeResult:
        """Title, filter, table, footer."""
        yield Static("Runs on this box", id="runs-title", markup=False)
        yield Entry(
            placeholder="words to find in the runs", id="field-filter", help="Enter keeps the filter, Esc drops it."
        )
        table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=False)
        for column in COLUMNS:
            table.add_column(Text(column), key=column)
        yield table
        yield Static("", id="runs-detail", markup=False)
        yield Static("", id="runs-note", markup=False)
        yield Foot()

    def on_mount(self) -> None:
        """The filter is hidden until `/` is pressed."""
        self._entry.display = False

    def on_screen_resume(self) -> None:
        """Read the runs again, in a thread: their logs can be long."""
        if self.is_current:
            self.run_worker(self._read, thread=True, exclusive=True, group="read")

    def on_listed(self, event: Listed) -> None:
        """Show what has changed, and read again in a while: runs go on, and end, while they are looked at."""
        if event.found != self._runs or not event.found:  # an empty list is shown too
            self._runs = event.found
            self._marked = [name for name in self._marked if name in {run.name for run in event.found}]
            self._fill()
            self.refresh_bindings()
            if not self._entry.has_focus:
                self._table.focus()
        if self._next is not None:
            self._next.stop()
        self._next = self.set_timer(self._pause_seconds, self.on_screen_resume)

    def on_resize(self) -> None:
        """Names as wide as there is room for; details if the screen is tall now."""
        if self._runs:
            self._fill()

    def on_input_changed(self) -> None:
        """Filter as it is typed."""
        self._fill()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a column sorts by it; another one reverses the order."""
        self._sort(str(event.column_key.value))

    def action_open(self) -> None:
        """The live screen or the result of the run under the cursor; in the filter, back to the table."""
        if self._entry.has_focus:
            self._table.focus()
        else:  # after the arrows that were typed before Enter, which reach the app by way of the table
            self._table.call_later(self.call_later, self.app.call_later, self._open)

    def _open(self) -> None:
        if self.is_current and (folder := self._folder):
            self._wizard.open_run(folder)

    def action_back(self) -> None:
        """Close the filter; without one, go back to the screen that opened this one."""
        if self._entry.display:
            self._entry.value = ""
            self._entry.display = False
            self._table.focus()
        else:
            self._wizard.go_back()

    def action_filter(self) -> None:
        """Type words."""
        self._entry.display = True
        self._entry.focus()

    def action_sort(self) -> None:
        """By the next column."""
        self._sort(COLUMNS[(COLUMNS.index(self._column) + 1) % len(COLUMNS)])

    def action_turn(self) -> None:
        """Reverse the order."""
        self._sort(self._column)

    def action_mark(self) -> None:
        """Mark the run under the cursor, or unmark it; four at most. The cursor moves to the next run."""
        if name := self._run_name:
            others = [x for x in self._marked if x != name]
            self._marked = others if name in self._marked else [*others, name][-MOST:]
            self._fill()
            self._table.action_cursor_down()

    def action_compare(self) -> None:
        """Compare the marked runs; one alone with the one under the cursor."""
        from tui.screens.overlay import OverlayScreen

        under_cursor = [self._run_name] if self._run_name and len(self._marked) < 2 else []
        names = list(dict.fromkeys([*self._marked, *under_cursor]))
        if len(names) < 2:
            self.app.notify("mark a run with Space, move to another one, then press c")
        elif all(folders := [self._found(name) for name in names]):
            self.app.push_screen(OverlayScreen([folder for folder in folders if folder]))

    def action_copy(self) -> None:
        """The run's name into the clipboard."""
        if self._run_name:
            self.app.copy_to_clipboard(self._run_name)
            self.app.notify("the name is in the clipboard, if the terminal allows it")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done with the run under the cursor, as it is."""
        run = self._run
        if action in ("resume", "stop", "note", "rename", "delete") and run is None:
            return False
        state = run.state if run else ""
        if action == "stop":
            return state == "running"
        return state in _RESUMABLE if action == "resume" else action not in ("rename", "delete") or state != "running"

    def on_data_table_row_selected(self) -> None:
        """A click on the run under the cursor opens it."""
        self.action_open()

    def on_data_table_row_highlighted(self) -> None:
        """Other keys may work on this run; a tall screen has room for more about it."""
        self.refresh_bindings()
        self._show_details()

    def _show_details(self) -> None:
        run, detail = self._run, self.query_one("#runs-detail", Static)
        lines = details(run) if run else []
        detail.display = bool(lines) and self.size.height >= _TALL_LINES
        detail.update("\n".join(lines))

    def action_resume(self) -> None:
        """Go on with the run in the background, in a process of its own."""
        if name := self._run_name:
            self.app.notify(f"resuming {name} in the background…")
            self.run_worker(partial(self._resume, name), thread=True, group="resume")

    def action_stop(self) -> None:
        """Ask, then stop it at its next step with a checkpoint."""
        if folder := self._folder:
            self.app.push_screen(Ask("Stop this run?", [STOP]), partial(self._stop, folder))

    def _stop(self, folder: RunFolder, key: str | None) -> None:
        if key != STOP.key or not folder.is_alive():
            return
        try:
            control.send(folder.commands_file, "stop")
        except OSError as error:  # a full disk
            why = (error.strerror or str(error)).lower()
            self.app.notify(f"the command can't be sent to {folder.name}: {why}", severity="error")
        else:
            self.app.notify(f"{folder.name} stops at its next step, with a checkpoint")

    def action_note(self) -> None:
        """A line about the run, which the list shows and finds."""
        if (run := self._run) and (folder := self._folder):
            act = partial(keeping.write_note, folder)
            self.app.push_screen(OneLine(f"A note on {run.name}", "note", run.note, act, help="Empty takes it away."))

    def action_rename(self) -> None:
        """Another name; the time in front of it stays."""
        if folder := self._folder:
            act = partial(self._rename, folder)
            self.app.push_screen(OneLine(f"Rename {folder.name}", "name", folder.name, act))

    def action_delete(self) -> None:
        """Ask, and delete the run with all that it made."""
        if folder := self._folder:
            size = units.disk(keeping.disk_bytes(folder))
            reasons = (f"{folder.path} with its checkpoints and its result, {size}: this can't be undone.",)
            self.app.push_screen(Confirm("Delete this run?", reasons, yes="delete"), partial(self._delete, folder))

    def _delete(self, folder: RunFolder, yes: bool | None) -> None:
        if not yes:
            return
        try:
            keeping.delete(folder)
        except (UserError, OSError) as error:
            self.app.notify(str(error), severity="error")
        else:
            waiting.leave(folder)
            self.app.notify(f"{folder.name} is deleted")
        self.on_screen_resume()

    def _rename(self, folder: RunFolder, name: str) -> None:
        renamed = keeping.rename(folder, name).name
        waiting.rename(folder.name, renamed)
        self.app.notify(f"it is {renamed} now")
        self._marked = []

    def _resume(self, name: str) -> None:
        """In the worker: the command that a user would type."""
        command = [sys.executable, "-m", "tui", "resume", name, "--detach"]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        failed = done.returncode != 0
        said = ((failed and done.stderr) or done.stdout).strip().rpartition("\n")[2]
        self.app.notify(said.removeprefix("fttui: "), severity="error" if failed else "information")
        self._read()

    def action_help(self) -> None:
        """Help and keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self, self.HELP_TEXT))

    @property
    def _wizard(self) -> Wizard:
        return wizard_of(self.app)

    @property
    def _entry(self) -> Entry:
        return self.query_one(Entry)

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one(DataTable)

    @property
    def _run_name(self) -> str | None:
        if not self._table.row_count:
            return None
        return self._table.coordinate_to_cell_key(self._table.cursor_coordinate).row_key.value

    @property
    def _run(self) -> Summary | None:
        """The run under the cursor."""
        name = self._run_name
        return next((run for run in self._runs if run.name == name), None)

    @property
    def _folder(self) -> RunFolder | None:
        """The folder of the run under the cursor, if it is still there."""
        return self._found(self._run_name) if self._run_name else None

    def _found(self, name: str) -> RunFolder | None:
        """The run of this name; if it was deleted elsewhere since the list was read, say so and read it again."""
        folder = next((x for x in run_folder.all_runs() if x.name == name), None)
        if folder is None:
            self.app.notify(f"{name} is gone: its folder was removed, renamed or moved", severity="warning")
            self.on_screen_resume()
        return folder

    def _sort(self, column: str) -> None:
        """Sort by `column`; by the same one again in the other order."""
        self._backwards = not self._backwards if column == self._column else column == COLUMNS[0]
        self._column = column
        self._fill()

    def _fill(self) -> None:
        """Show the runs that match the filter, sorted; the cursor stays on its run."""
        before = self._run_name
        runs = chosen(self._runs, self._entry.value, self._column, self._backwards)
        rows = self._rows(runs)
        self._widen(rows)
        names = [run.name for run in runs]
        if names == [key.value for key in self._table.rows]:  # what is scrolled to stays
            for at, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    self._table.update_cell_at(Coordinate(at, column), cell)
        else:
            self._table.clear()
            for name, cells in zip(names, rows, strict=True):
                self._table.add_row(*cells, key=name, height=2)
            if before in names:
                self._table.move_cursor(row=names.index(before))
        self._say(len(runs))
        self._show_details()

    def _rows(self, runs: list[Summary]) -> list[tuple[Text, ...]]:
        """Names give way to the figures: a time without its unit would be another one."""
        colours, room = self.app.theme_variables, self.size.width - 2 - 2

        def made(width: int) -> list[tuple[Text, ...]]:
            return [row(run, width, colours, marked=run.name in self._marked) for run in runs]

        rows = made(width := max(_LEAST_NAME, room - _OTHER_COLUMNS))
        others = sum(map(_cells, self._table.ordered_columns[1:], list(zip(*rows, strict=True))[1:]))
        scrolls = 2 * len(rows) + 1 > self._table.size.height
        over = width + others + scrolls * self._table.styles.scrollbar_size_vertical - room
        return made(max(_LEAST_NAME, width - over)) if rows and over > 0 else rows

    def _widen(self, rows: list[tuple[Text, ...]]) -> None:
        """Columns as wide as their content. The table measures late, and would keep what it painted before."""
        for column, cells in zip(self._table.ordered_columns, zip(*rows, strict=True), strict=False):
            column.auto_width = False
            column.width = _cells(column, cells) - 2

    def _say(self, shown: int) -> None:
        """How the table is filtered and sorted, and what is marked."""
        parts = [f"{shown:,} of {len(self._runs):,} runs, by {self._column} {'▾' if self._backwards else '▴'}"]
        parts += [f"marked: {', '.join(plain(name, lines=False) for name in self._marked)}"] if self._marked else []
        self.query_one("#runs-note", Static).update("; ".join(parts) if self._runs else _NO_RUNS)

    def _read(self) -> None:
        worker, began = get_current_worker(), time.monotonic()
        found = waiting.with_queued(self._summaries.read(run_folder.all_runs()))
        self._pause_seconds = max(_READ_AGAIN_SECONDS, _LEAST_PAUSE * (time.monotonic() - began))
        if not worker.is_cancelled:
            self.post_message(Listed(found))


def _cells(column: Column, cells: tuple[Text, ...]) -> int:
    """Cells that a column takes, with the space on both sides."""
    return 2 + max(text.cell_len for cell in (column.label, *cells) for text in cell.split("\n"))
