"""This box's hardware, and which GPU to plan for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical

from backend import units
from backend.errors import UserError
from tui.journey import ONE_BOX, Boxes
from tui.messages import Looked
from tui.screens import numbers
from tui.screens.step import WizardStep
from tui.widgets.entry import Entry
from tui.widgets.field import Field
from tui.widgets.hardware_preview import planned, preview
from tui.widgets.picker import Picker
from tui.widgets.picklist import Choice
from tui.widgets.preview import Preview

if TYPE_CHECKING:
    from backend.hardware import Hardware
    from backend.planner.device import Device

_HELP = (
    "This box is where the run will train. Name another GPU to see what a job would take on a card that you don't "
    "have yet; such a plan can't be started here. For several GPUs, enter how many; several boxes "
    "of that many GPUs train together too, over the network between them. If this box "
    "has several, a run uses the idle ones, or as many as you set for processes on the review screen."
)
Seen = tuple["Hardware", "Device", list[Choice]]


class HardwareScreen(WizardStep):
    """The first screen: the box."""

    STEP: ClassVar[str] = "hardware"
    HELP_TEXT: ClassVar[str] = _HELP

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+o", "app.presets", "presets"),
        Binding("ctrl+r", "app.runs", "runs"),
        Binding("ctrl+q", "app.leave", "leave fttui"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._goes_on = False

    def body(self) -> ComposeResult:
        """The box above, the question below."""
        _, count = split_count(self.journey.answers.gpu or "")
        with Container(id="box-and-question"):
            yield Preview(id="box")
            with Vertical(id="question"):
                asked = "Plan for which device?"
                yield Picker(asked, "gpu", placeholder="type to filter: 4090, A100, cpu …", help=_HELP, fills=True)
                answers = self.journey.answers
                yield Field("count", "how many", str(count), hint="of that GPU in a box", help="GPUs of that kind.")
                yield Field(
                    "nodes", "boxes", str(answers.nodes or 1), hint="training together", help="Boxes like that one."
                )
                yield Field(
                    "node_gbps",
                    "Gbit/s between them",
                    numbers.text(answers.node_gbps),
                    placeholder="25, 100 …",
                    hint="`iperf3 -c OTHER_BOX` measures it",
                    help="What a box sends to another, in Gbit/s: it bounds how much faster several boxes are.",
                )

    def on_mount(self) -> None:
        """Look at the box in a thread, so that the screen is shown at once."""
        self.query_one(Entry).focus()
        self._show_fields("")
        self.query_one(Preview).say("this box", "looking at GPUs, driver, memory and disk…", "…")
        self.run_worker(self._look, thread=True, group="look")

    def on_looked(self, event: Looked) -> None:
        """Show the box and what can be planned for."""
        event.stop()
        seen: Seen = event.value
        self.journey.hardware, device, choices = seen
        self.journey.here = device
        self.wizard.prepare_demo()
        name, _ = split_count(self.journey.answers.gpu or "")
        self.query_one(Picker).offer([Choice("", f"this box: {device.label}", _memory(device)), *choices], name)
        with suppress(UserError):  # an unknown name from an edited file: Enter shows the error
            self.wizard.plan_for(self._wanted(), self._boxes())
        self._show()
        self.update_rail()
        if self._goes_on and self.is_current:
            self.proceed()

    def on_picker_changed(self, event: Picker.Changed) -> None:
        """Show what is highlighted."""
        if self.journey.hardware is not None:
            self._show()

    def on_input_changed(self, event: Entry.Changed) -> None:
        """Another count."""
        for field in self.query(Field):
            field.complain("")
        if event.input.has_focus:
            self._show()

    def proceed(self) -> None:
        """To the next step if the device is known; an Enter before the box is known waits for it."""
        if self.journey.hardware is None:
            self._goes_on = True
            return
        before = self.journey.box_gpu
        try:
            self.wizard.plan_for(self._wanted(), self._boxes())
        except UserError as error:
            self.complain(error, "gpu")
            return
        self.journey.box_gpu, self.journey.box_boxes = self.journey.answers.gpu, self.journey.boxes
        if before != self.journey.box_gpu and (dropped := self.journey.drop_what_was_for(another_model=False)):
            self.notify(f"Left to the planner again, as they were for another device: {dropped}.")
        self.query_one(Picker).keep()
        self.update_rail()
        self.wizard.go_on()

    def _show(self) -> None:
        """What is known about the highlighted device: this box, or a card that need not be in it."""
        hardware, value, panel = self.journey.hardware, self.query_one(Picker).value, self.query_one(Preview)
        assert hardware is not None
        self._show_fields(value)
        if value in ("", "cpu"):
            count = len(hardware.gpus)
            title = "no GPU" if not count else f"{count} GPU{'s' if count > 1 else ''}"
            device = None if value else self.journey.here
            panel.show("this box", partial(preview, hardware, device=device), title)
            return
        try:
            device = self._in_boxes(self.journey.sources.named(self._wanted()))
        except UserError:  # the name may be incomplete: no error yet
            panel.say(value, "no device has this name")
            return
        panel.show(device.label, partial(planned, device), "not in this box: a plan, not a run")

    def _wanted(self) -> str:
        name = self.query_one(Picker).value
        if not _takes_a_count(name):
            return name
        count = numbers.whole(self.query_one("#row-count", Field).text or "1", "how many", "count", least=1)
        return f"{name}:{count}" if count > 1 else name

    def _boxes(self) -> Boxes:
        """How many boxes, and what is between them. Raises UserError that names the field."""
        if not _is_named(self.query_one(Picker).value):
            return ONE_BOX
        nodes = numbers.whole(self.query_one("#row-nodes", Field).text or "1", "boxes", "nodes", least=1)
        if nodes == 1:
            return ONE_BOX
        what = "Gbit/s between boxes"
        gbps = numbers.number(self.query_one("#row-node_gbps", Field).text, what, "node_gbps", above=True)
        if gbps is None:
            raise UserError(f"{what}: say how many, such as 10, 25 or 400", "node_gbps")
        return nodes, gbps

    def _in_boxes(self, device: Device) -> Device:
        """`device` in as many boxes as were typed, or in one while the entry is incomplete."""
        try:
            nodes, gbps = self._boxes()
        except UserError:
            return device
        return self.journey.sources.spread(device, replace(self.journey.answers, nodes=nodes, node_gbps=gbps))

    def _show_fields(self, value: str) -> None:
        self.query_one("#row-count").display = _takes_a_count(value)
        self.query_one("#row-nodes").display = is_named = _is_named(value)
        has_several = self.query_one("#row-nodes", Field).text not in ("", "1")
        self.query_one("#row-node_gbps").display = is_named and has_several

    def _look(self) -> None:
        sources = self.journey.sources
        hardware = sources.detect()
        choices = [choice_of(name, sources.named) for name in sources.device_names()]
        self.post_message(Looked("box", (hardware, sources.here(hardware), choices)))


def _is_named(name: str) -> bool:
    """Whether it is a GPU's name, and neither this box nor a CPU."""
    return name not in ("", "cpu")


def _takes_a_count(name: str) -> bool:
    """Whether to ask for a count: a GPU may be there several times, unless its name says how many."""
    return _is_named(name) and ":" not in name


def split_count(gpu: str) -> tuple[str, int]:
    """`A100:4` as name and count."""
    name, _, count = gpu.partition(":")
    return name, int(count) if count.isdigit() else 1


def _memory(device: Device) -> str:
    each = " each" if device.count > 1 else ""
    return units.gib(device.free_bytes) + (" of RAM free" if device.kind == "cpu" else f" free{each}")


def choice_of(name: str, named: Callable[[str], Device]) -> Choice:
    """A known device with its memory and price."""
    if name == "cpu":
        return Choice(name, name, "the processor of this box")
    device = named(name)
    price = f"{units.usd(device.price.typical)} an hour" if device.price else ""
    return Choice(name, name, f"{units.gib(device.memory_bytes):>9}  {price:>13}")
