"""Where to start a plan that is not for this box: the engine, whose command is then copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from tui.widgets.picklist import Choice, PickList

ENGINES = (
    Choice("ssh:HOST", "ssh:HOST", "a box that you reach by SSH"),
    Choice("skypilot", "skypilot", "rents the cheapest that it finds"),
    Choice("dstack", "dstack", "rents, or uses your fleet"),
    Choice("slurm", "slurm", "a cluster's queue"),
    Choice("kubeflow", "kubeflow", "a Kubernetes cluster"),
    Choice("torchrun", "torchrun", "several boxes by hand"),
)


SEVERAL_BOXES = tuple(engine for engine in ENGINES if engine.value in ("slurm", "torchrun"))


class LaunchChoice(ModalScreen[str | None]):
    """Dismissed with the value of `--on`, or with None."""

    AUTO_FOCUS: ClassVar[str | None] = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "copy the command"),
        Binding("escape,q", "leave", "close"),
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
    ]

    def __init__(self, engines: Sequence[Choice] = ENGINES) -> None:
        super().__init__()
        self._engines = engines

    def compose(self) -> ComposeResult:
        """A list."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content("Start it elsewhere with fttui launch")
            dialog.border_subtitle = Content("Enter copies the command · Esc closes")
            yield PickList()

    def on_mount(self) -> None:
        """All engines that can start it."""
        self.query_one(PickList).make_room(len(self._engines))
        self.query_one(PickList).show(self._engines)

    def action_move(self, by: int) -> None:
        """Another one."""
        self.query_one(PickList).move(by)

    def on_pick_list_taken(self) -> None:
        """A double click."""
        self.action_take()

    def action_take(self) -> None:
        """This one."""
        choice = self.query_one(PickList).choice
        self.dismiss(choice.value if choice else None)

    def action_leave(self) -> None:
        """Nothing is copied."""
        self.dismiss(None)
