"""Presets: what each is for and what it contains; start from one, copy, edit or delete it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import get_current_worker

from backend import presets, typed
from backend.errors import UserError
from backend.plan.preset import Preset
from backend.presets import Broken
from tui import command_line
from tui.messages import Looked
from tui.plain import plain, safe
from tui.widgets import preset_outlook, toml_text
from tui.widgets.foot import Foot
from tui.widgets.picklist import Choice, PickList
from tui.widgets.preview import Preview
from tui.widgets.prose import sentences, stacked, wrapped
from tui.wizard import Wizard, wizard_of

if TYPE_CHECKING:
    from pathlib import Path

    from backend.planner.outlook import Outlook
    from tui.journey import Journey

_HELP = (
    "A preset stores settings and answers under a name. Enter starts the wizard from it: its answers are filled in, "
    "the rest is asked as usual. Shipped presets can't be changed: c copies one, and e edits your copy here, comments "
    "included; it is a TOML file in the folder that `fttui presets path` prints. A file that can't be used is "
    "listed with the line and the reason. y copies the command that trains from the preset without the screen."
)
_NUMBER, _KIND = 4, len("your own")
"""Cells of a line's number, and of what kind of preset it is."""
_OUTLOOK = 32
"""Cells of an outlook with the space around it."""
_MOST_CHARACTERS = 100_000
"""The most characters of a file that are shown; a preset has a few hundred."""


class PresetsScreen(Screen[None]):
    """A list, and the file of the highlighted one."""

    AUTO_FOCUS: ClassVar[str | None] = ""
    HELP_TEXT: ClassVar[str] = _HELP
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "start", "start from it", key_display="Enter"),
        Binding("escape", "back", "back", key_display="Esc"),
        Binding("c", "copy", "copy"),
        Binding("e", "edit", "edit"),
        Binding("d", "delete", "delete"),
        Binding("y", "command", "copy command"),
        Binding("f1,question_mark", "help", "help", key_display="?"),
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "scroll(-5)", "scroll the file", show=False),
        Binding("pagedown", "scroll(5)", "scroll the file", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Preset | Broken] = {}
        self._outlooks: dict[str, Outlook | UserError] = {}
        """File -> what it would take on this box, or why that can't be said."""

    def compose(self) -> ComposeResult:
        """Title, list, file, footer."""
        yield Static("Presets", id="presets-title", markup=False)
        with Container(id="presets-split"):
            yield PickList()
            yield Preview(id="preset")
        yield Foot()

    def on_screen_resume(self) -> None:
        """Read the files again; the highlighted preset stays highlighted."""
        self._read(self._chosen.path if self._chosen else None)

    def _read(self, highlight: Path | None) -> None:
        """Show the presets that there are now."""
        self._found = {str(preset.path): preset for preset in self._wizard.journey.sources.presets()}
        self.query_one(PickList).make_room(len(self._found))
        self._outlooks = {}
        self._list(str(highlight))
        self._show()
        journey = self._wizard.journey
        usable = [preset for preset in self._found.values() if isinstance(preset, Preset)]
        call = partial(self._look, journey, preset_outlook.Known.of(journey), usable)
        self.run_worker(call, thread=True, exclusive=True, group="outlook")

    def _list(self, highlight: str) -> None:
        """The lines, with what is known of each by now."""
        known = {key: preset_outlook.in_short(x) for key, x in self._outlooks.items() if not isinstance(x, UserError)}
        lines = self.query_one(PickList)
        longest = max((cell_len(preset.name) for preset in self._found.values()), default=0)
        named = lines.size.width >= longest + _OUTLOOK + _KIND
        choices = [_choice(preset, known.get(key, ""), named=named) for key, preset in self._found.items()]
        lines.show(choices, highlight)

    def on_resize(self) -> None:
        """The kind of a preset is left out if there is no room for it."""
        self.call_after_refresh(lambda: self._list(str(self._chosen.path) if self._chosen else ""))

    def _look(self, journey: Journey, known: preset_outlook.Known, found: list[Preset]) -> None:
        """In a worker: find out what each preset would take."""
        worker = get_current_worker()
        for preset in found:
            try:
                looked = Looked(str(preset.path), preset_outlook.look(journey, known, preset))
            except UserError as error:
                looked = Looked(str(preset.path), error=error)
            if worker.is_cancelled:
                return
            self.post_message(looked)

    def on_looked(self, event: Looked) -> None:
        """Another preset's figures are known."""
        event.stop()
        self._outlooks[str(event.key)] = event.error or event.value
        self._list(str(self._chosen.path) if self._chosen else "")
        if self._chosen and str(self._chosen.path) == event.key:
            self._show()

    def on_pick_list_highlighted(self) -> None:
        """Show its file, and the keys that work on it."""
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only a preset of the user's own can be changed, and only one that is not broken can be used."""
        chosen = self._chosen
        if action in ("edit", "delete"):
            return isinstance(chosen, Broken) or (chosen is not None and not chosen.shipped)
        return isinstance(chosen, Preset) if action in ("start", "copy", "command") else True

    def action_move(self, by: int) -> None:
        """Highlight another one."""
        self.query_one(PickList).move(by)

    def action_scroll(self, by: int) -> None:
        """Scroll the file, which may be longer than its room."""
        self.query_one(Preview).scroll_relative(y=by, animate=False)

    def on_pick_list_taken(self) -> None:
        """A double click."""
        self.action_start()

    def action_start(self) -> None:
        """The wizard from its first step, with what the preset says."""
        if self.is_current and isinstance(self._chosen, Preset):
            self._wizard.start_from(self._chosen)

    def action_copy(self) -> None:
        """Ask for a name, and copy."""
        from tui.screens.copy_name import CopyName

        if isinstance(chosen := self._chosen, Preset):
            self.app.push_screen(CopyName(chosen.name), self._copied)

    def action_edit(self) -> None:
        """The file in an editor."""
        from tui.screens.preset_editor import PresetEditor

        if chosen := self._chosen:
            try:
                self.app.push_screen(PresetEditor(chosen.path))
            except UserError as error:
                self.notify(str(error), severity="error")

    def action_delete(self) -> None:
        """Ask, and delete the file."""
        from tui.screens.confirm import Confirm

        if chosen := self._chosen:
            reasons = (f"{chosen.path} is deleted; this can't be undone.",)
            self.app.push_screen(Confirm("Delete this preset?", reasons, yes="delete"), partial(self._delete, chosen))

    def action_command(self) -> None:
        """The command that does the same without the screen."""
        if chosen := self._chosen:
            line = f"fttui train {command_line.quoted(chosen.name)}"
            self.app.copy_to_clipboard(line)
            self.notify(f"{line}: copied, if the terminal allows it.")

    def action_back(self) -> None:
        """Back to the screen that opened this one."""
        self._wizard.go_back()

    def action_help(self) -> None:
        """Help and keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self, self.HELP_TEXT))

    @property
    def _wizard(self) -> Wizard:
        return wizard_of(self.app)

    @property
    def _chosen(self) -> Preset | Broken | None:
        choice = self.query_one(PickList).choice
        return self._found.get(choice.value) if choice else None

    def _copied(self, copy: Path | None) -> None:
        """Highlight the copy, so that e edits it."""
        if copy is not None:
            self._read(copy)
            self.notify(f"Copied: e edits {copy.stem}.")

    def _delete(self, chosen: Preset | Broken, yes: bool | None) -> None:
        if not yes:
            return
        try:
            presets.delete(chosen.name)
        except UserError as error:  # it is gone already, or may not be deleted
            self.notify(str(error), severity="error")
        self.on_screen_resume()

    def _show(self) -> None:
        if chosen := self._chosen:
            outlook = _outlook(self._outlooks.get(str(chosen.path)))
            self.query_one(Preview).show(chosen.name, partial(_file, chosen, outlook), _kind(chosen))
        self.refresh_bindings()


def _kind(preset: Preset | Broken) -> str:
    if isinstance(preset, Broken):
        return "✗ broken"
    return "shipped" if preset.shipped else "your own"


def _outlook(found: Outlook | UserError | None) -> Content | None:
    if isinstance(found, UserError):
        return safe(f"On this box: {found}.", lines=False, style="$faint")
    return preset_outlook.sentence(found) if found else None


def _choice(preset: Preset | Broken, outlook: str, *, named: bool) -> Choice:
    kind = _kind(preset)
    detail = f"{outlook}  {kind:<{_KIND}}" if outlook and named else outlook or kind
    return Choice(str(preset.path), preset.name, detail)


def _file(preset: Preset | Broken, outlook: Content | None, width: int) -> Content:
    """What it is for, or what is wrong with it; what it would take on this box; then the lines of the file."""
    if isinstance(preset, Broken):
        head = sentences([preset.reason], width, "✗", "$error")
    else:
        head = wrapped(safe(preset.description, lines=False, style="bold"), width)
    text = plain(_text(preset), limit=_MOST_CHARACTERS)
    lines = [_line(number, line, preset, width) for number, line in enumerate(toml_text.lines(text), 1)]
    return stacked([head, *([wrapped(outlook, width)] if outlook else []), Content(" "), *lines])


def _text(preset: Preset | Broken) -> str:
    try:
        return typed.read_bytes(preset.path).decode("utf-8", "replace").rstrip("\n")
    except typed.Damaged as error:
        return f"# can't be read: {error}"


def _line(number: int, text: Content, preset: Preset | Broken, width: int) -> Content:
    """A line with its number; the one at fault is marked."""
    wrong = isinstance(preset, Broken) and preset.line == number
    shown = Content.styled(text.plain, "$error") if wrong else text
    numbered = Content.assemble((f"{'❯' if wrong else ' '}{number:>{_NUMBER - 2}} ", "$faint"), shown)
    return wrapped(numbered, width, _NUMBER)
