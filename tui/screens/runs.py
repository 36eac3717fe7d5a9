"""What ran on this box: state, loss, and predicted against actual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static
from textual.worker import get_current_worker

from backend import units
from backend.run import folder as run_folder
from backend.run.folder import RunFolder
from backend.run.summary import Summary, summarise
from tui.messages import Listed
from tui.plain import plain
from tui.theme import METHOD_NAMES
from tui.widgets.cells import cut

if TYPE_CHECKING:
    from tui.app import WizardApp

COLUMNS = ("run", "state", "held-out loss", "peak", "time")
_SIGNS = {
    "running": ("▶", "primary"),
    "done": ("✓", "success"),
    "failed": ("✗", "error"),
    "interrupted": ("!", "warning"),
    "stopped": ("■", "warning"),
    "paused": ("‖", "warning"),
    "damaged": ("✗", "error"),
}
"""State -> sign and the theme's colour for it."""
_OTHER_COLUMNS = 50
"""Cells that all columns but the first take."""
_HELP = (
    "Every run of this box, the newest first. Peak and time are what was measured, and after them what was said before "
    "the start. Enter opens a run: live while it trains, its result when it is over."
)


class RunsScreen(Screen[None]):
    """A table of runs."""

    HELP_TEXT: ClassVar[str] = _HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", key_display="Enter", priority=True),
        Binding("escape", "back", "back", key_display="Esc"),
        Binding("y", "copy", "copy name"),
        Binding("f1,question_mark", "help", "help", key_display="F1"),
    ]

    def compose(self) -> ComposeResult:
        """Title, table, footer."""
        yield Static("Runs on this box", id="runs-title", markup=False)
        table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=False)
        for column in COLUMNS:
            table.add_column(Text(column), key=column)
        yield table
        yield Static("", id="runs-note", markup=False)
        yield Footer(show_command_palette=False)

    def on_screen_resume(self) -> None:
        """Read the runs again, in a thread: their logs can be long."""
        self.run_worker(self._read, thread=True, exclusive=True, group="read")

    def on_listed(self, event: Listed) -> None:
        """Show them; the cursor stays on its run."""
        runs: list[Summary] = event.found
        table = self.query_one(DataTable)
        before = self._run_name
        table.clear()
        width = max(20, self.size.width - 2 - _OTHER_COLUMNS - 2)
        for run in runs:
            table.add_row(*_row(run, width, self.app.theme_variables), key=run.name, height=2)
        names = [run.name for run in runs]
        if before in names:
            table.move_cursor(row=names.index(before))
        note = "" if runs else "No run has been made on this box yet: finish the wizard, or `fttui train`."
        self.query_one("#runs-note", Static).update(note)
        table.focus()

    def action_open(self) -> None:
        """The live screen or the result of the run under the cursor."""
        if self.is_current and self._run_name:
            self._wizard.open_run(RunFolder.find(self._run_name))

    def action_back(self) -> None:
        """Back to where it was opened from."""
        self._wizard.go_back()

    def action_copy(self) -> None:
        """The run's name into the clipboard."""
        if self._run_name:
            self.app.copy_to_clipboard(self._run_name)
            self.notify("The run's name is in the clipboard, where the terminal allows it.", markup=False)

    def action_help(self) -> None:
        """Help and keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self, self.HELP_TEXT))

    @property
    def _wizard(self) -> WizardApp:
        return cast("WizardApp", self.app)

    @property
    def _run_name(self) -> str | None:
        table = self.query_one(DataTable)
        if not table.row_count:
            return None
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value

    def _read(self) -> None:
        worker = get_current_worker()
        found = [summarise(folder) for folder in run_folder.all_runs()]
        if not worker.is_cancelled:
            self.post_message(Listed(found))


def _row(run: Summary, width: int, colours: Mapping[str, str]) -> tuple[Text, ...]:
    """Two lines a run: what came, and under it what was said before; `width` cells for the name."""
    sign, colour = _SIGNS.get(run.state, ("?", "foreground"))
    losses = [f"{x:.3f}" for x in (run.loss_before, run.loss) if x is not None]
    about = f"{METHOD_NAMES.get(run.method, run.method)} of {run.model} on {run.data}" if run.model else ""
    steps = f"{run.step:,} of {run.total_steps:,}" if run.total_steps else ""
    return (
        _lines(cut(plain(run.name, lines=False), width), cut(plain(about, lines=False), width)),
        Text.assemble((f"{sign} {run.state}", colours.get(colour, "").removeprefix("ansi_")), (f"\n  {steps}", "dim")),
        _lines(" → ".join(losses), "said before".rjust(13) if run.foreseen_peak_bytes else ""),
        _lines(_figure(run.peak_bytes, units.memory), _figure(run.foreseen_peak_bytes, units.memory)),
        _lines(_figure(_seconds(run.hours), units.duration), _figure(_seconds(run.foreseen_hours), units.duration)),
    )


def _lines(first: str, second: str) -> Text:
    return Text.assemble(first, (f"\n{second}", "dim"))


def _seconds(hours: float | None) -> float | None:
    return hours * 3600 if hours is not None else None


def _figure(value: float | None, words: units.Words) -> str:
    return words(value) if value is not None else ""
