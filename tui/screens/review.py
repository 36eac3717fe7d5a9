"""Every setting of the run and its origin: the last screen before the start."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from backend import units
from backend.errors import UserError
from backend.plan import fields
from backend.planner import fit
from tui import command_line, starting
from tui.journey import SETTINGS
from tui.plain import plain, safe
from tui.screens.planned import PlannedStep
from tui.theme import METHOD_NAMES
from tui.widgets import figures
from tui.widgets.prose import Prose, wrapped
from tui.widgets.setting_rows import STARTS, SettingEditor, StartLine
from tui.widgets.settings import PlanSettings

QUIET_SECONDS = 0.7
"""Enter starts the run only if it was not pressed for this long: pressing it repeatedly or holding it does not."""
_SUBMIT = "Add --submit to submit it at once."
_NODES = "For two such boxes add --nodes 2 --node-gbps 100 (Gbit/s between them)."
_HELP = (
    "Every setting of the run, and where it comes from. Enter on the first line starts the training; on a setting it "
    "edits that: the planner keeps what you set and plans the rest around it; an empty value is left to the planner. "
    "s saves all of it as a preset, y copies the command that does the same without the screen. A plan for a GPU that "
    "is not in this box can't start here: y copies the command for that box, l the one that starts it there from here."
)


class ReviewScreen(PlannedStep):
    """Settings, warnings, the equivalent command, start."""

    STEP: ClassVar[str] = "review"
    HELP_TEXT: ClassVar[str] = _HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "start", key_display="Enter"),
        Binding("enter", "next_elsewhere", "copy command", key_display="Enter"),
        Binding("enter", "edit", "edit", key_display="Enter"),
        Binding("e,space", "edit", "edit", show=False),
        Binding("s", "save", "save"),
        Binding("y", "copy", "copy"),
        Binding("l", "launch", "launch"),
        Binding("x", "reset", "reset"),
    ]

    def body(self) -> ComposeResult:
        """Summary above, settings, command below."""
        yield Static("", id="summary", markup=False)
        yield PlanSettings(self.journey.chosen())
        with Vertical(id="foot"):
            yield Prose(id="explanation")
            yield Static("", id="command", markup=False)

    def on_mount(self) -> None:
        """The list has the keys."""
        self.query_one(PlanSettings).focus()

    def refreshed(self) -> None:
        """Shown: an Enter from the screen before does not count."""
        self._last_enter = self.wizard.clock()
        self.show()

    def show(self) -> None:
        """Everything, from the comparison as it is now."""
        comparison, method = self.journey.comparison(), self.journey.chosen()
        self.query_one(PlanSettings).show(comparison.methods[method], self._what_enter_does(), self.journey.restored)
        self.query_one("#summary", Static).update(self._summary())
        line = self._command_line()
        self.query_one("#command", Static).update(Content.assemble(("$ ", "bold $primary"), safe(line, lines=False)))
        self._explain()
        self.update_rail()
        self.read_again()

    def proceed(self) -> None:
        """Enter: start the run, unless the key was pressed just before; of a run for another box, copy the command."""
        now = self.wizard.clock()
        quiet, self._last_enter = now - self._last_enter, now
        if quiet < QUIET_SECONDS:
            again = "to start the training" if self._is_here else "to copy the command"
            self._say(f"Press Enter once more {again}.")
        elif wrong := self._refusal():
            self._say(wrong, wrong=True)
        elif not self._is_here:
            self.action_copy()
        elif obstacles := self._obstacles():
            self._ask(obstacles)
        else:
            self._start()

    @property
    def _is_here(self) -> bool:
        return self.journey.comparison().device.here

    def _refusal(self) -> str:
        """Why nothing can be started here, or on no box with the planned GPU, in a sentence; empty if it can."""
        refuse = starting.refuse if self._is_here else starting.refuse_anywhere
        try:
            refuse(self.journey.comparison())
        except UserError as error:
            return str(error)
        return ""

    def _what_enter_does(self) -> StartLine:
        """On the first line: start the training, or what is of use for a GPU that is not in this box."""
        device, is_refused = self.journey.comparison().device.label, bool(self._refusal())
        if is_refused:
            return StartLine(
                STARTS.does if self._is_here else f"Run it on {device}", "Not as it is: the line with ✗ says why"
            )
        if self._is_here:
            return STARTS
        if self._has_several_boxes:
            return StartLine(f"Run it on {device}", "Enter copies the command")
        return StartLine(f"Run it on {device}", "Enter copies the command for that box; s saves a preset for it")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enter starts on the first line and edits on the others; Esc leaves an editor, even on the first screen."""
        if action == "launch":
            return not self._is_here and not self._refusal()
        if action in ("next", "next_elsewhere", "edit"):
            start = "next" if self._is_here else "next_elsewhere"
            return action == (start if self.query_one(PlanSettings).is_on_start else "edit")
        return (action == "back" and bool(self.query(SettingEditor))) or super().check_action(action, parameters)

    def action_back(self) -> None:
        """Esc: leave the edited row, else back."""
        if not self.query_one(PlanSettings).leave():
            super().action_back()

    def on_plan_settings_moved(self) -> None:
        """Another setting is under the cursor."""
        self._explain()
        self.refresh_bindings()

    def action_edit(self) -> None:
        """Change the setting under the cursor, in its place."""
        self.query_one(PlanSettings).action_edit()

    def on_setting_editor_wanted(self, event: SettingEditor.Wanted) -> None:
        """A setting was typed: plan around it, or say under it which values are allowed."""
        event.stop()
        before = self.journey.answers
        try:
            self._set(event.editor.key, event.editor.text)
            self.journey.comparison()
        except UserError as error:
            self.journey.answers = before
            event.editor.complain(str(error))
            return
        self.query_one(PlanSettings).leave()
        self.show()

    def action_save(self) -> None:
        """Save the plan as a preset."""
        from tui.screens.preset_name import PresetName

        self.app.push_screen(PresetName(self.journey), self._saved)

    def action_copy(self) -> None:
        """Copy the command, over SSH too (OSC 52)."""
        self.app.copy_to_clipboard(self._command_line())
        where = "" if self._is_here else f"; run it on a box with {self.journey.comparison().device.label}"
        if self._has_several_boxes:
            where = "; add --out FILE, and run the file on each box"
        self._say(f"The command is in the clipboard, if the terminal allows it{where}.")

    def action_next_elsewhere(self) -> None:
        """Enter on the first line of a plan for another box."""
        self.action_next()

    def action_launch(self) -> None:
        """Choose an engine, and copy the command that writes what it takes."""
        from tui.screens.launch_choice import ENGINES, SEVERAL_BOXES, LaunchChoice

        self.app.push_screen(LaunchChoice(SEVERAL_BOXES if self._has_several_boxes else ENGINES), self._launch)

    def _launch(self, on: str | None) -> None:
        if on is None:
            return
        line = self._launch_line(on)
        self.app.copy_to_clipboard(line)
        more = [_SUBMIT] if on != "torchrun" else []
        more += [_NODES] if on in ("slurm", "torchrun") and not self._has_several_boxes else []
        self._say(" ".join([f"{line}: in the clipboard, if the terminal allows it.", *more]))

    def _launch_line(self, on: str) -> str:
        start, answers = self.journey.start, self.journey.answers
        return command_line.launch(answers, self.journey.chosen(), on, start.reference if start else None)

    @property
    def _has_several_boxes(self) -> bool:
        return self.journey.comparison().device.nodes > 1

    def action_reset(self) -> None:
        """Leave all settings to the planner again."""
        self.journey.drop_settings()
        self.show()

    def _command_line(self) -> str:
        """The command that does the same: on this box, on one that has the planned GPU, or for several boxes."""
        if self._has_several_boxes:
            return self._launch_line("torchrun")
        start, answers = self.journey.start, self.journey.answers
        if not self._is_here:
            answers = replace(answers, gpu=None)
        return command_line.train(answers, self.journey.chosen(), start.reference if start else None)

    def _explain(self) -> None:
        explanation = self.query_one(PlanSettings).explanation
        self.query_one("#explanation", Prose).show(lambda width: wrapped(explanation, width, 2))

    def _set(self, key: str, text: str) -> None:
        value = fields.parse(key, text) if text else None
        self.journey.set_by_user(key)
        if key in SETTINGS:
            self.journey.answer(**{key: value})
        else:
            self.journey.answers = self.journey.with_setting(key, fields.exact(value) if text else None)

    def _summary(self) -> Content:
        """Two lines on the run, and a line for each warning."""
        comparison, method = self.journey.comparison(), self.journey.chosen()
        seen = comparison.methods[method]
        data = plain(comparison.answers.data or "no data yet", lines=False)
        head = Content.assemble(
            (METHOD_NAMES[method], "bold $primary"),
            " of ",
            (plain(comparison.model.shape.name, lines=False), "bold"),
            " on ",
            (f"{data}", "bold"),
            f" ({units.counted(comparison.data.rows, 'row')}), {plain(comparison.device.label, lines=False)}",
        )
        room = fit.available(comparison.device)
        parts = [
            figures.of_room(seen.memory.peak_bytes, room),
            f"{figures.hours(seen.hours.point)}",
            figures.cost(seen.cost_usd),
            f"{seen.steps:,} steps",
        ]
        lines = [head, Content.assemble(figures.fit_word(seen), "  ", " · ".join(parts))]
        lines += [Content.assemble(("! ", "bold $warning"), safe(text, style="$warning")) for text in self._obstacles()]
        lines += [safe(text, lines=False, style="$primary") for text in [self.journey.changes()] if text]
        if wrong := self._refusal():
            lines.append(Content.assemble(("✗ ", "bold $error"), safe(wrong, style="$error")))
        elif not self._is_here:
            lines += [Content.assemble(("→ ", "bold $primary"), text) for text in self._elsewhere()]
        return Content("\n").join(lines)

    def _elsewhere(self) -> list[Content]:
        """The ways to a run on a GPU that is not in this box."""
        label = plain(self.journey.comparison().device.label, lines=False)
        if self._has_several_boxes:
            ways = (
                f"{label}: the command below writes the script that each of them runs.",
                "s saves a preset; l has the command for Slurm too.",
            )
            return [Content.styled(text, "$primary") for text in ways]
        ways = (
            f"{label} is not in this box: the command below trains there.",
            "s saves a preset that can be copied to it; l has the command that starts it from here.",
        )
        return [Content.styled(text, "$primary") for text in ways]

    def _obstacles(self) -> tuple[str, ...]:
        seen = self.journey.comparison().methods[self.journey.chosen()]
        tight = ("Its memory is tight: one long row can end the run.",) if seen.fit == "tight" else ()
        return (*seen.obstacles, *tight)

    def _ask(self, obstacles: tuple[str, ...]) -> None:
        from tui.screens.confirm import Confirm

        def answered(anyway: bool | None) -> None:
            if anyway:
                self._start()

        self.app.push_screen(Confirm("Start anyway?", obstacles, yes="start anyway"), answered)

    def _start(self) -> None:
        """Make the run and show it."""
        comparison = self.journey.comparison()
        try:
            job = self.journey.sources.job(comparison, self.journey.chosen(), self.journey.preset)
            self.wizard.start(job)
        except UserError as error:
            self._say(str(error), wrong=True)
            return
        with suppress(OSError, UserError):  # the run has started; next time the questions have their old defaults
            self.journey.save()
            self.journey.sources.remember_model(comparison.model.reference)

    def _saved(self, name: str | None) -> None:
        if name:
            self.journey.preset = name
            self._say(f"Saved. The same run without the screen: fttui train {command_line.quoted(name)}")

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self.app.notify(text, severity="error" if wrong else "information")
