"""The wizard, in order: box, model, data, goal, compare, review; then the run and its result."""

from __future__ import annotations

import os
import pkgutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.screen import Screen

from backend import answers_file, settings, typed, units
from backend.errors import UserError
from backend.settings import Settings
from tui import theme
from tui.journey import ONE_BOX, Boxes, Journey
from tui.look import LookApp
from tui.sources import Sources
from tui.widgets.rail import STEPS

if TYPE_CHECKING:
    from backend.launch.launch import Trainer
    from backend.plan.job import Job
    from backend.plan.preset import Preset
    from backend.run.folder import RunFolder
    from tui.screens.palette import Command
    from tui.wizard import Wizard

ORDER = tuple(step for step, _ in STEPS)
_SCREENS: Mapping[str, str] = {
    "hardware": "tui.screens.hardware:HardwareScreen",
    "model": "tui.screens.model:ModelScreen",
    "data": "tui.screens.data:DataScreen",
    "goal": "tui.screens.goal:GoalScreen",
    "compare": "tui.screens.compare:CompareScreen",
    "review": "tui.screens.review:ReviewScreen",
}
"""The screen of each step, imported when it is first shown."""
_NOT_LISTED = ("runs", "presets", "leave", "app.runs", "app.presets", "app.leave", "complete", "app.focus_previous")
"""Actions that the palette lists as the app's own commands, and those that only make sense as keys."""
_RECENT = 4
"""Number of palette commands that a session remembers."""
WARM_UP_AFTER = "model"
"""The step after which torch is loaded: a user who has chosen a model is likely to train."""


class WizardApp(LookApp):
    """The wizard's Textual app. The owner of `launch` owns the trainer, which outlives this app."""

    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "runs", "runs", show=False),
        Binding("ctrl+o", "presets", "presets", show=False),
        Binding("ctrl+q", "leave", "leave fttui", show=False),
    ]
    SETTLED_SECONDS: ClassVar[float] = 0.4
    """Time after which a screen, with all that it looks up, has been drawn in most cases."""

    def __init__(
        self,
        *,
        launch: Callable[[Job], tuple[RunFolder, Trainer]],
        start_at: str | None = None,
        run: RunFolder | None = None,
        sources: Sources | None = None,
        settings: Settings = Settings(),  # noqa: B008  (a frozen dataclass)
        ascii: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, ascii=ascii)
        self._launch = launch
        self.start_at = start_at or ("live" if run else ORDER[0])
        self._demo_asked = False
        self._is_warm = False
        self._recent: list[str] = []
        """Titles of commands chosen in the palette, the last one first."""
        self._run = run
        self.clock = clock
        """Time in seconds, by which several presses of Enter in a row are told from a single one."""
        self.journey = Journey(sources or Sources(), answers_file.load(), answers_file.prices())
        self.trainer: Trainer | None = None
        """The run that this process trains."""

    def on_mount(self) -> None:
        """Show the first screen; then prepare the demo model in the background if it may be needed."""
        if self._run is not None and self.start_at == "live":
            self.open_run(self._run)
        elif self.start_at == "runs":
            self.action_runs()
        else:
            self.open_step(self.start_at)
            if self.start_at != ORDER[0]:
                self.prepare_demo()

    def on_resize(self, event: Resize) -> None:
        """Say that the terminal is too small while it is; then show again what was there."""
        from tui.screens.too_small import TooSmall, is_too_small

        covered = isinstance(self.screen, TooSmall)
        if is_too_small(event.size) and not covered:
            self.push_screen(TooSmall(lambda: self.title_shown))
        elif covered and not is_too_small(event.size):
            self.pop_screen()

    def open_step(self, step: str) -> None:
        """Show a step of the wizard."""
        self.push_screen(make_step(step))

    def go_on(self) -> None:
        """From the current step to the next one."""
        step = getattr(self.screen, "STEP", "")
        if step in ORDER[:-1]:
            self.journey.done.add(step)
            self._keep_answers()
            if step == WARM_UP_AFTER:
                self._warm_up()
            self.open_step(ORDER[ORDER.index(step) + 1])

    def _keep_answers(self) -> None:
        """Save the answers after each step: they are the next session's defaults, even if this one is left half-way."""
        with suppress(OSError, UserError):  # a read-only or full disk: this session continues without saving
            self.journey.save()

    def _warm_up(self) -> None:
        """Load torch after the next screen is shown, while the user is answering: a run then starts earlier."""
        if not self._is_warm and self.journey.device is not None and self.journey.device.here:
            self._is_warm = True
            thread = threading.Thread(target=self.journey.sources.warm_up, name="warm-up", daemon=True)
            self.set_timer(self.SETTLED_SECONDS, thread.start)

    def go_back(self) -> None:
        """To the previous screen; the first one stays."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    def go_back_to(self, step: str) -> None:
        """To an earlier step."""
        if any(getattr(screen, "STEP", None) == step for screen in self.screen_stack):
            while getattr(self.screen, "STEP", None) != step:
                self.pop_screen()

    def start_over(self) -> None:
        """Restart the wizard; the box is looked at again, as a run changes its free memory and its calibration."""
        journey = self.journey
        journey.hardware = journey.here = journey.device = None
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.open_step(ORDER[0])

    def start_from(self, preset: Preset) -> None:
        """Restart the wizard from `preset`."""
        self.journey.start_from(preset)
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.open_step(ORDER[0])

    def plan_for(self, gpu: str, boxes: Boxes | None = None) -> None:
        """Plan for `gpu` (empty: this box) in `boxes`; by default the same boxes as before, or one if the GPU changes.

        Raises UserError for an unknown name, and for boxes that can't be planned for.
        """
        journey = self.journey
        same = (journey.answers.gpu or "") == gpu
        boxes = boxes or (journey.boxes if same and gpu else ONE_BOX)
        if same and boxes == journey.boxes and journey.device and journey.device.nodes == (boxes[0] or 1):
            return
        device, answers = journey.here, replace(journey.answers, nodes=boxes[0], node_gbps=boxes[1])
        if gpu:
            device = journey.sources.spread(journey.sources.named(gpu), answers)
        journey.answers = answers
        journey.plan_for(device, gpu or None)

    def start(self, job: Job) -> None:
        """Start training `job` and show it. Raises UserError if a run is already training."""
        from tui.screens.live import LiveScreen

        folder, self.trainer = self._launch(job)
        self.push_screen(LiveScreen(folder, self.trainer))

    def open_run(self, folder: RunFolder) -> None:
        """Show a run of this box: live while it trains or while a long history is read, else its result."""
        from tui.screens.live import LiveScreen
        from tui.screens.result import ResultScreen

        trainer = self.trainer if self.trainer is not None and self.trainer.folder.path == folder.path else None
        live = folder.is_alive() or folder.has_long_history()
        self.push_screen(LiveScreen(folder, trainer) if live else ResultScreen(folder))

    def answered(self) -> dict[str, str]:
        """The short answer to each step so far, for the rail."""
        journey, short = self.journey, {}
        if journey.device is not None:
            name = "CPU" if journey.device.kind == "cpu" else journey.device.label
            short["hardware"] = name
        if journey.model is not None:
            short["model"] = journey.model.shape.name.rpartition("/")[2] or journey.model.reference
        if journey.data is not None:
            short["data"] = journey.answers.data.rpartition("/")[2] or f"{units.count(journey.data.rows)} rows"
        if "goal" in journey.done:
            short["goal"] = journey.answers.shift
        if journey.start is not None:
            short["preset"] = journey.start.name
        if journey.method is not None and "compare" in journey.done:
            short["compare"] = theme.METHOD_NAMES[journey.method]
        return short

    def commands(self) -> Iterator[Command]:
        """Every action of the current screen, the ways to other screens, and the app's own."""
        from tui.screens.help import own_bindings
        from tui.screens.palette import Command

        screen, named = self.screen, set[str]()
        for binding in own_bindings(screen):
            if binding.description not in named and binding.action not in _NOT_LISTED:
                named.add(binding.description)
                key = f"key {self.get_key_display(binding)}"
                act = partial(self._act, screen, binding.action)
                title = binding.description[:1].upper() + binding.description[1:]
                yield Command("this screen", title, key, act)
        for step, word in STEPS:
            before = self.screen_stack[: self.screen_stack.index(screen)]
            if any(getattr(x, "STEP", None) == step for x in before):
                yield Command("go to", f"Back to {word}", "answers stay", partial(self.go_back_to, step))
        yield Command("go to", "Runs", "the runs of this box, key ^r", self.action_runs)
        yield Command("go to", "Presets", "start from one, copy or edit it, key ^o", self.action_presets)
        yield Command("fttui", "Theme", "dark, light, high contrast, 16 colours ...", self.action_change_theme)
        yield Command("fttui", "Leave fttui", "key ^q", self.action_leave)

    def action_command_palette(self) -> None:
        """All commands; the chosen one is done on the screen that is shown now."""
        from tui.screens.palette import Palette

        if isinstance(self.screen, Palette):
            return
        found = list(self.commands())

        def chosen(title: str | None) -> None:
            if title is not None:
                self._recent = [title, *(x for x in self._recent if x != title)][:_RECENT]
                self.call_later(next(command.act for command in found if command.title == title))

        self.push_screen(Palette(found, self._recent), chosen)

    def action_change_theme(self) -> None:
        """Choose a theme while the current screen shows each of them; the chosen one is used in later sessions too."""
        from tui.screens.theme_choice import ThemeChoice
        from tui.widgets.picklist import Choice

        def kept(keep: bool | None) -> None:
            if keep:
                try:
                    settings.keep_theme(self.theme)
                except (UserError, typed.Damaged) as error:  # can't be written: it lasts for this session
                    self.notify(str(error), severity="warning")

        named = theme.choices(self.available_themes, os.environ)
        self.push_screen(ThemeChoice([Choice(name, name, about) for name, about in named]), kept)

    def action_runs(self) -> None:
        """The table of runs."""
        from tui.screens.runs import RunsScreen

        if not isinstance(self.screen, RunsScreen):
            self.push_screen(RunsScreen())

    def action_presets(self) -> None:
        """The presets."""
        from tui.screens.presets import PresetsScreen

        if not isinstance(self.screen, PresetsScreen):
            self.push_screen(PresetsScreen())

    async def action_leave(self) -> None:
        """Leave; a screen that shows a run first asks whether the run should continue."""
        if hasattr(self.screen, "action_leave"):
            await self.run_action("leave", self.screen)
        else:
            self.exit()

    def _act(self, screen: Screen[Any], action: str) -> None:
        self.call_later(self.run_action, action, screen.focused or screen)

    def prepare_demo(self) -> None:
        """Convert the demo model in the background if it is likely to be used; once, after the box was looked at."""
        sources, asked = self.journey.sources, self._demo_asked
        self._demo_asked = True
        if not asked and self.journey.answers.model in ("", "demo") and not sources.demo_is_ready():
            self.run_worker(sources.prepare_demo, thread=True, group="demo")


def make_step(step: str) -> Screen[None]:
    """The screen of a step. Raises ValueError if the wizard has no such step."""
    if step not in _SCREENS:
        raise ValueError(f"the wizard has no step {step!r}")
    screen: type[Screen[None]] = pkgutil.resolve_name(_SCREENS[step])
    return screen()


if TYPE_CHECKING:
    _SEEN_BY_SCREENS: type[Wizard] = WizardApp
