"""Which GPU to rent: every known one for this job, the cheapest first; Enter plans for one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from backend import units
from backend.errors import UserError
from tui.messages import Listed
from tui.plain import safe
from tui.theme import METHOD_NAMES
from tui.widgets import figures
from tui.widgets.picklist import Choice, PickList
from tui.widgets.prose import Prose, sentences

if TYPE_CHECKING:
    from backend.planner.rent import RentOffer

CAVEATS = {
    "not measured": "No fttui run on several GPUs has been measured yet: these figures come from the formulas.",
    "ROCm untried": "Planned from the data sheet: fttui has not been tried on AMD GPUs.",
    "float16": "The card has no bfloat16: float16 with loss scaling is used.",
}
_WIDE = 100
"""Columns from which a line has its caveat in words; in narrower ones it has a sign, with the words below the list."""


class RentChoice(ModalScreen["RentOffer | None"]):
    """The list; dismissed with the chosen offer, or with None."""

    DEFAULT_CSS = """
    RentChoice #rent {
        width: 96%; max-width: 110; height: 88%; padding: 0 1; background: $surface; border: round $border;
        border-title-style: bold; border-title-color: $primary; border-subtitle-color: $faint;
    }
    RentChoice #rent-head { color: $faint; height: 1; text-wrap: nowrap; }
    RentChoice PickList { height: 1fr; }
    RentChoice #rent-about { height: 4; margin-top: 1; }
    """
    AUTO_FOCUS: ClassVar[str | None] = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "plan for it"),
        Binding("escape,dollar_sign", "leave", "close"),
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "move(-10)", "up", show=False),
        Binding("pagedown", "move(10)", "down", show=False),
        Binding("home", "move(-999)", "first", show=False),
        Binding("end", "move(999)", "last", show=False),
    ]

    def __init__(self, find: Callable[[], tuple[RentOffer, ...]], planned: str, boxes: int = 1) -> None:
        """`boxes`: how many are planned for; single ones are compared."""
        super().__init__()
        self._find = find
        self._planned = planned
        self._boxes = boxes
        self._offers: dict[str, RentOffer] = {}

    def compose(self) -> ComposeResult:
        """Title, names of the columns, the list, more about the highlighted offer."""
        with Vertical(id="rent") as box:
            single = f" (one box, not {self._boxes})" if self._boxes > 1 else ""
            box.border_title = Content(f"Which GPU to rent, the cheapest first{single}")
            box.border_subtitle = Content("Enter plans for it · Esc closes")
            yield Static("Comparing every known GPU …", id="rent-head", markup=False)
            yield PickList(id="rent-list")
            yield Prose(id="rent-about")

    def on_mount(self) -> None:
        """Compare in a thread: it takes a moment."""
        self.run_worker(self._look, thread=True, exclusive=True)

    def on_listed(self, event: Listed) -> None:
        """Show what was found."""
        event.stop()
        self._offers = {offer.spec: offer for offer in event.found}
        self._show()

    def on_resize(self) -> None:
        """Show the columns for which there is room."""
        if self._offers:
            self._show()

    def on_pick_list_highlighted(self, event: PickList.Highlighted) -> None:
        """Show more about it."""
        event.stop()
        offer = self._offers.get(event.choice.value) if event.choice else None
        if offer is not None:
            self.query_one("#rent-about", Prose).show(partial(_about, offer))

    def action_move(self, by: int) -> None:
        """Another line."""
        self.query_one(PickList).move(by)

    def on_pick_list_taken(self) -> None:
        """A double click."""
        self.action_take()

    def action_take(self) -> None:
        """Plan for the highlighted one."""
        choice = self.query_one(PickList).choice
        if choice is not None and self.is_current:
            self.dismiss(self._offers[choice.value])

    def action_leave(self) -> None:
        """Nothing is changed."""
        self.dismiss(None)

    def _look(self) -> None:
        try:
            self.post_message(Listed(list(self._find())))
        except UserError as error:  # a setting that no GPU can take
            self.app.call_from_thread(self.query_one("#rent-head", Static).update, safe(str(error), lines=False))

    def _show(self) -> None:
        wide = self.size.width >= _WIDE
        lines = self.query_one(PickList)
        now = lines.choice.value if lines.choice else self._planned
        lines.show([Choice(spec, x.device.label, _detail(x, wide)) for spec, x in self._offers.items()], now)
        carried = sum(offer.estimate is not None for offer in self._offers.values())
        names = _columns("method", "time", "USD", "range", "" if wide else " ", wide)
        room = self.query_one("#rent-head").size.width - 1
        title = f"  {carried} offers fit the job"
        if len(title) + 2 > room - len(names):
            title = f"  {carried} offers"
        self.query_one("#rent-head", Static).update(f"{title}{names.rjust(max(0, room - len(title)))}")


def _detail(offer: RentOffer, wide: bool) -> str:
    seen = offer.estimate
    if seen is None:
        return offer.out.removesuffix(".")
    caveat = offer.caveat if wide else "~" if offer.caveat else ""
    cost, span = units.dollars(offer.usd), figures.cost_range(seen.cost_usd)
    return _columns(METHOD_NAMES[seen.method], figures.hours(offer.hours), cost, span, caveat, wide)


def _columns(method: str, time: str, usd: str, span: str, caveat: str, wide: bool) -> str:
    return f"{method:6}{time:>10}{usd:>8}  {span:13} {caveat:{12 if wide else 1}}"


def _about(offer: RentOffer, width: int) -> Content:
    """Memory, price with its source, and caveats; or why it is not an offer."""
    seen, price = offer.estimate, offer.device.price
    if seen is None or price is None:
        return sentences([f"{offer.device.label}: {offer.out}"], width)
    peak, room = units.gib(seen.memory.peak_bytes), units.gib(offer.device.memory_bytes)
    each = " on each" if offer.device.count > 1 else ""
    texts = [
        f"{METHOD_NAMES[seen.method]} on {offer.device.label} takes {peak} of {room}{each}.",
        f"{units.usd(price.typical)} per GPU-hour: {price.source}.",
        CAVEATS.get(offer.caveat, ""),
    ]
    return sentences([text for text in texts if text], width)
