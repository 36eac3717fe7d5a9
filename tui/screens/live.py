"""A run while it trains. The screen polls the run's events on its own clock; the trainer never waits for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.getters import query_one

from backend.launch.launch import Trainer
from backend.run import control
from backend.run.control import Command
from backend.run.folder import RunFolder
from backend.run.history import History
from backend.run.summary import state_of
from tui.panels import words
from tui.panels.curve import Curve
from tui.panels.gpu import GpuPanel
from tui.panels.health import HealthLine
from tui.panels.log import LogPanel
from tui.panels.memory import MemoryPanel
from tui.panels.panel import Clock, Panel
from tui.panels.progress import ProgressPanel
from tui.panels.samples import Samples
from tui.screens import places
from tui.screens.ask import Answer, Ask
from tui.screens.places import Panels, Regions
from tui.screens.result import ResultScreen
from tui.screens.run_screen import RunScreen, panel_keys, run_title
from tui.widgets.foot import Foot
from tui.wizard import STOPPING

TICKS_PER_SECOND = 4
_TICKS_PER_PANELS = 2
"""The panels, which cost most, are drawn only at every second tick, the lines above them at each."""
_POLL_SECONDS = 0.1
"""Spent on reading events before keys are answered again: opening a long run takes several such turns."""
_LINGER_TICKS = 4
"""Ticks that the finished run stays on the screen before its result replaces it."""
_DEAD_TICKS = 3 * TICKS_PER_SECOND
"""Ticks without a live trainer before the run counts as lost: a run that is just starting has no lock yet."""
_NOTICES: dict[Command, str] = {
    "stop": "stopping at the next step",
    "pause": "pausing at the next step",
    "checkpoint": "checkpoint at the next step",
}
STOP = Answer("s", "Stop with a checkpoint", "at the next step; resume later")
PAUSE = Answer("p", "Pause with a checkpoint", "at the next step; listed as paused")
_KEEP = Answer("k", "Keep training", "without the screen; the prompt comes back")


class LiveScreen(RunScreen):
    """Panels on one run: this process's own, or another process's if `trainer` is None."""

    CSS_PATH = "live.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "leave"),
        Binding("c", "command('checkpoint')", "checkpoint"),
        Binding("p", "pause", "pause"),
        Binding("s", "stop", "stop"),
        *panel_keys(5),
        Binding("ctrl+c", "interrupt", "stop with a checkpoint", show=False, priority=True),
    ]
    HELP_TEXT = """\
The line below the bar says whether the run is fine: what is wrong, or what comes next, what is saved, what it costs.
The chart shows each step's loss faint, its average (centred, over the steps that are named) strong, and evaluations \
on held-out rows as ◆; values beyond the scale have a ▲. [ and ] go through learning rate, gradient norm, tokens/s, \
memory and GPU use, with the prediction as a dashed line.
Memory is compared with the prediction and with the device's memory.
{leaving}; closing the terminal never stops a run.
s stops and p pauses at the next step; both write a checkpoint, and `fttui resume` continues from it.
1 to 5 choose a panel, the same key again or m gives it the whole screen, h hides it, Esc brings all of them back.
↑ ↓ go through the samples and the log. In the log / shows only the lines with what you type, w wraps, ← → scroll \
sideways, v shows what libraries printed, and Enter opens the line at the bottom."""

    progress = query_one(ProgressPanel)
    health = query_one(HealthLine)

    def __init__(self, folder: RunFolder, trainer: Trainer | None = None, *, clock: Clock = time.time) -> None:
        super().__init__()
        self.folder = folder
        self._trainer = trainer
        self._clock = clock
        self._title = run_title(folder)
        self._history = History(folder.events_file, folder.log_file)
        self._asked: Command | None = None
        self._checkpoints_then = 0
        self._seen_alive = True
        self._changed = False
        self._was_running = trainer is not None or folder.is_alive()
        self._ticks = 0
        self._ticks_over = 0
        self._ticks_dead = 0

    def compose(self) -> ComposeResult:
        """Header, panels, keys."""
        past, clock = self._history, self._clock
        yield ProgressPanel(past, self._title, clock)
        yield HealthLine(past, clock)
        with Panels(self.places):
            yield Curve(past, clock, id="curve")
            yield MemoryPanel(past, clock, id="memory")
            yield GpuPanel(past, clock, id="gpu")
            yield Samples(past, clock, id="samples")
            yield LogPanel(past, clock, id="log")
        yield Foot()

    @property
    def about(self) -> str:
        """The help text; q works differently for somebody who only watches."""
        own = "q asks whether to stop with a checkpoint or to train on without the screen"
        return self.HELP_TEXT.format(leaving=own if self._trainer else "q leaves at once, and the run continues")

    def places(self, size: Size, shown: Sequence[str]) -> Regions:
        """The regions of the panels that are shown."""
        return places.live(size, shown)

    def on_mount(self) -> None:
        """Read what there is, then poll."""
        self._catch_up()
        self.set_interval(1 / TICKS_PER_SECOND, self._on_clock)

    def tick(self) -> None:
        """Read what is new and show it; if the terminal is still busy with the last frame, show it later."""
        self._turn(panels=True)

    def _on_clock(self) -> None:
        self._turn(panels=self._ticks % _TICKS_PER_PANELS == 0)

    def _turn(self, *, panels: bool) -> None:
        self._ticks += 1
        self._changed |= self._history.poll(_POLL_SECONDS)
        if not self.wizard.is_terminal_behind:
            self._show_lines()
            if panels:
                self._show_panels()
        self._look_for_the_end()

    def _catch_up(self) -> None:
        """Read a long history in short turns, between which keys are answered."""
        self._changed |= self._history.poll(_POLL_SECONDS)
        if self._history.is_behind:
            self.set_timer(_POLL_SECONDS / 10, self._catch_up)
        else:
            self.tick()

    def _show_lines(self) -> None:
        self.progress.notice = self._notice()
        self.progress.feed(self._history)
        self.health.feed(self._history)
        self.wizard.show_in_title(words.title(self._history, self._title, self._clock()))

    def _show_panels(self) -> None:
        changed, self._changed = self._changed, False
        for panel in self.query(Panel):
            if panel.display and (changed or not self._history.step):
                panel.feed(self._history)

    def _notice(self) -> str:
        if self._asked == "checkpoint" and len(self._history.checkpoints) > self._checkpoints_then:
            self._asked = None
        return _NOTICES[self._asked] if self._asked else ""

    def _look_for_the_end(self) -> None:
        """Show the result when the run is over, or when no process trains it any more."""
        if self._history.is_behind:
            return
        alive = self._trainer.is_alive() if self._trainer else self._is_alive_elsewhere()
        self._ticks_over += bool(self._history.finished)
        self._ticks_dead = 0 if alive else self._ticks_dead + 1
        linger = _LINGER_TICKS if self._was_running else 0
        if self._ticks_over > linger or (self._ticks_dead > _DEAD_TICKS and not self._history.finished):
            self._show_result()

    def _is_alive_elsewhere(self) -> bool:
        """Checked once a second only, as the check takes the run's lock for a moment."""
        if self._ticks % TICKS_PER_SECOND == 0 and not self._history.finished:
            self._seen_alive = self.folder.is_alive()
        return self._seen_alive

    def _show_result(self) -> None:
        if isinstance(self.app.screen, Ask):  # the run has ended: there is nothing left to ask
            self.app.screen.dismiss(None)
        elif self.is_current:
            if self._was_running:
                self.wizard.say_at_end(f"{self._title}: {state_of(self.folder, self._history)}")
            unsaid = self._trainer.unsaid() if self._trainer is not None else ""
            self.app.switch_screen(ResultScreen(self.folder, self._history, clock=self._clock, unsaid=unsaid))

    def on_log_panel_opened(self, event: LogPanel.Opened) -> None:
        """A line of the log, whole."""
        from tui.screens.whole_line import WholeLine

        event.stop()
        self.app.push_screen(WholeLine(event.line))

    def action_command(self, command: Command) -> None:
        """Send a command to the trainer, whichever process it is in."""
        if self._history.finished:
            return
        try:
            control.send(self.folder.commands_file, command)
        except OSError as error:  # a full disk, or the folder is gone
            why = (error.strerror or str(error)).lower()
            self.app.notify(f"The command can't be sent to the run: {why}.", severity="error", markup=False)
            return
        self._asked, self._checkpoints_then = command, len(self._history.checkpoints)
        self.tick()

    def action_stop(self) -> None:
        """Ask, then stop with a checkpoint; the result is shown when the run has ended."""

        def answer(key: str | None) -> None:
            if key == "s":
                self.action_command("stop")

        if self.is_current:  # a second s may come before the question is up
            self.app.push_screen(Ask("Stop this run?", [STOP]), answer)

    def action_pause(self) -> None:
        """Ask, then pause with a checkpoint."""

        def answer(key: str | None) -> None:
            if key == PAUSE.key:
                self.action_command("pause")

        if self.is_current and not self._history.finished:
            self.app.push_screen(Ask("Pause this run?", [PAUSE]), answer)

    def action_leave(self) -> None:
        """Ask whether the run should continue; somebody who only watches just leaves."""
        if self._trainer is None or self._history.finished:
            self.app.exit()
        elif self._asked == "stop":
            self.app.exit(STOPPING)
        else:
            self.app.push_screen(Ask("The run is still training.", [_KEEP, STOP]), self._leave)

    def _leave(self, key: str | None) -> None:
        if key == "k":
            self.app.exit()
        elif key == "s":
            self.action_command("stop")
            self.app.exit(STOPPING)

    def go_back(self) -> None:
        """From a run of another process back to the list; this process's own run is left with q."""
        if self._trainer is None:
            super().go_back()

    def action_interrupt(self) -> None:
        """Ctrl+C: stop with a checkpoint at the next step; once more leaves the screen."""
        if self._trainer is not None and self._asked != "stop" and not self._history.finished:
            self.action_command("stop")
        else:
            self.action_leave()
