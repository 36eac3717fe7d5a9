"""A run that has ended: its result, the error of the predictions, and what to do next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size

from backend import units
from backend.errors import UserError
from backend.launch.queue import waiting
from backend.run import history
from backend.run.events import RunFinished
from backend.run.folder import RunFolder
from backend.run.history import History
from tui import command_line, report
from tui.panels.curve import Curve
from tui.panels.next_step import NextPanel, NextStep, Trouble
from tui.panels.outcome import Outcome
from tui.panels.panel import Clock, Panel
from tui.panels.progress import ProgressPanel
from tui.panels.samples import Samples
from tui.screens import places
from tui.screens.places import Panels, Regions
from tui.screens.run_screen import RunScreen, panel_keys, run_title
from tui.widgets.foot import Foot

_LOST = "Its process ended without saying why: it was killed, the host ran out of memory, or the power failed."
_LOOK_SECONDS = 1.0
"""How often a waiting run is checked."""
_LOOKS_UNTIL_STARTED = 60
"""A run that has left the queue is started, unless somebody took it out; its process needs some seconds for that."""
_REMOVED = "Its folder was removed or moved: what is shown here was read before."


class ResultScreen(RunScreen):
    """One screen worth a screenshot. Reads the run's events once, unless `past` is given; nothing in it moves.

    A run that waits in the queue is shown live as soon as it begins.
    """

    CSS_PATH = "result.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy"),
        Binding("e", "export", "export"),
        Binding("t", "chat", "talk"),
        Binding("s", "save", "save"),
        Binding("n,enter", "new_run", "new", key_display="n"),
        Binding("r", "app.runs", "runs"),
        *panel_keys(4, all_shown=False),
        Binding("q,ctrl+c", "leave", "quit", key_display="q"),
    ]
    HELP_TEXT = """\
Predicted, measured: what was predicted and what this run took; the error is green if the run was better or close.
Samples: the answers to the same prompt before training and after; ↑ ↓ in that panel show the other prompts.
y copies the next command, also over SSH if the terminal allows it (OSC 52).
e exports the result: merged, for a server, for Ollama, or as another trainer's config; t talks with it.
[ and ] go through what was measured over the steps.
s writes report.md and report.svg, this screen as it is, into the run's folder."""

    def __init__(
        self, folder: RunFolder, past: History | None = None, *, clock: Clock = time.time, unsaid: str = ""
    ) -> None:
        """`unsaid`: why the run failed, if its events could not be written."""
        super().__init__()
        self._unsaid = unsaid or folder.failure()
        self.folder = folder
        self._clock = clock
        self._looks_outside_queue = 0
        self._history = past or history.read(folder.events_file, folder.log_file)
        self._next = next_step(folder, self._history)
        self._title = run_title(folder)

    def compose(self) -> ComposeResult:
        """Header, curve and figures, the samples or what went wrong, the next command, keys."""
        past, clock = self._history, self._clock
        progress = ProgressPanel(past, self._title, clock)
        progress.lost_as = "" if past.finished else waiting.state_of(self.folder, past)
        yield progress
        with Panels(self.places):
            yield Curve(past, clock, is_over=True, id="curve")
            yield Outcome(past, clock, id="outcome")
            if (sentence := trouble(self.folder, past, self._unsaid)) is not None:
                yield Trouble(past, sentence, clock, id="trouble")
            else:
                yield Samples(past, clock, key="3", id="samples")
            yield NextPanel(past, self._next, clock, id="next")
        yield Foot()

    def places(self, size: Size, shown: Sequence[str]) -> Regions:
        """The regions of the panels that are shown."""
        return places.result(size, shown)

    def on_mount(self) -> None:
        """Draw once."""
        self.query_one(ProgressPanel).redraw()
        for panel in self.query(Panel):
            panel.redraw()
        self._say_why_it_ended()
        if self._waits():
            self.set_interval(_LOOK_SECONDS, self._follow)

    def _waits(self) -> bool:
        return waiting.state_of(self.folder, self._history) == waiting.QUEUED

    def _follow(self) -> None:
        """Show the run live once it has begun, or its state if it has left the queue without starting."""
        from tui.screens.live import LiveScreen

        self._looks_outside_queue += not self._waits()
        if self.is_current and self.folder.is_alive():
            self.app.switch_screen(LiveScreen(self.folder, clock=self._clock))
        elif self.is_current and self._looks_outside_queue > _LOOKS_UNTIL_STARTED:
            self.app.switch_screen(ResultScreen(self.folder, clock=self._clock))

    def _say_why_it_ended(self) -> None:
        """A limit of the plan ended it before its last step: what it was, and how to train on."""
        if self._history.finished and (reason := self._history.finished.reason):
            self.notify(f"{reason[:1].upper()}{reason[1:]}.", severity="warning")

    def action_new_run(self) -> None:
        """To the wizard's first step; the answers are still there."""
        self.wizard.start_over()

    def action_export(self) -> None:
        """Choose a form to export it in."""
        from tui.screens.export_choice import ExportChoice

        self.app.push_screen(ExportChoice(self.folder))

    def action_chat(self) -> None:
        """Talk with what was trained."""
        from tui.screens.chat import ChatScreen

        self.app.push_screen(ChatScreen(self.folder))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be a result to export."""
        if action in ("export", "chat"):
            return self._history.state in ("done", "stopped") and self.folder.result.is_dir()
        return super().check_action(action, parameters)

    def action_leave(self) -> None:
        """The run is over: nothing to ask."""
        self.app.exit()

    def action_save(self) -> None:
        """Write the result as Markdown and SVG into the run's folder."""
        try:
            report.save(self.folder, self._history, self._title, self._next, self.app)
        except UserError as error:
            self.notify(str(error), severity="error")
        else:
            self.notify(f"Saved report.md and {report.PICTURE} in {self.folder.path}.")

    def action_copy(self) -> None:
        """Put the next command into the clipboard of the terminal that shows this."""
        self.app.copy_to_clipboard(self._next.to_copy)
        self.notify("Copied, if your terminal allows it (OSC 52).")


def trouble(folder: RunFolder, past: History, unsaid: str = "") -> str | None:
    """Why the run failed or ended, in a sentence; None for any other run. `unsaid` is what its events don't say."""
    if not folder.path.is_dir():
        return _REMOVED
    if waiting.state_of(folder, past) == waiting.QUEUED:
        return None
    if not past.finished:
        return unsaid or _LOST
    if past.state == "failed":
        return past.finished.error or "The training failed; the log says more."
    return None


def next_step(folder: RunFolder, past: History) -> NextStep:
    """Load the result, resume from the last checkpoint, or look into the log."""
    if not folder.path.is_dir():
        return NextStep("Start again", "", ("fttui",))
    if waiting.state_of(folder, past) == waiting.QUEUED:
        also = f"{_resume(folder)} starts it now"
        return NextStep(
            "It waits in the queue", "until there is room for it, and is then shown here", ("fttui queue list",), also
        )
    if past.state == "done":
        return _load(folder, past)
    if past.checkpoints:
        step = past.checkpoints[-1].step
        so_far = past.finished.result if past.finished else None
        also = f"the model so far is in {so_far}" if so_far else ""
        return NextStep("Go on", f"from the checkpoint at step {step:,}", (_resume(folder),), also)
    if past.state in ("stopped", "paused"):
        return NextStep("Go on", "", (_resume(folder),))
    return NextStep("Look closer", "what libraries printed", (f"less {command_line.quoted(str(folder.log_file))}",))


def _resume(folder: RunFolder) -> str:
    return f"fttui resume {command_line.quoted(folder.reference)}"


def _load(folder: RunFolder, past: History) -> NextStep:
    finished = past.finished or RunFinished()
    where = _place(folder, finished)
    size = finished.bytes or sum(x.stat().st_size for x in folder.result.rglob("*") if x.is_file())
    adapter = _method(folder) != "full"
    package, name = ("peft", "AutoPeftModelForCausalLM") if adapter else ("transformers", "AutoModelForCausalLM")
    lines = (
        f"path = {_literal(where)}",
        f"from {package} import {name}",
        f"model = {name}.from_pretrained(path)",
    )
    note = f"{'adapter' if adapter else 'model'}, {units.disk(size)}, or fttui export"
    return NextStep("Saved: load it in Python", note, lines)


def _place(folder: RunFolder, finished: RunFinished) -> str:
    """The result's folder: as the run said, unless it was renamed since."""
    said = finished.result
    is_moved = said is not None and not Path(said).exists() and folder.result.is_dir()
    return str(folder.result) if said is None or is_moved else said


def _literal(text: str) -> str:
    """`text` as a Python literal, in double quotes if it holds none: no part of it runs when it is pasted."""
    said = repr(text)
    return f'"{said[1:-1]}"' if said[0] == "'" and '"' not in said else said


def _method(folder: RunFolder) -> str:
    try:
        return folder.job().plan.method
    except UserError:
        return "lora"
