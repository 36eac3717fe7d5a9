"""The decision: LoRA, QLoRA and full side by side, with reasons, and what-if keys that change every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from backend import units
from backend.answers import METHODS, Method
from backend.errors import UserError
from backend.planner import fit
from backend.planner.estimates import Comparison
from tui.findings import in_wizard
from tui.journey import ONE_BOX
from tui.screens.planned import PlannedStep
from tui.theme import METHOD_NAMES
from tui.widgets import figures
from tui.widgets.bar import cells, legend, scale_for
from tui.widgets.method_card import MethodCard
from tui.widgets.prose import Prose, sentences, stacked
from tui.widgets.what_if import WhatIf

if TYPE_CHECKING:
    from backend.plan.plan import Plan
    from backend.planner.rent import RentOffer

Number = TypeVar("Number", int, float)
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
EPOCHS = (1.0, 2.0, 3.0, 4.0, 5.0, 8.0)
RANKS = (8, 16, 32, 64, 128, 256)
_TALL = (36, 46)
"""Rows of the terminal from which the columns show memory by category, and the other details."""
_HELP = (
    "Each column is one method, planned for your card, data and limits. The bar is the peak memory by category, and "
    "the line in it is the card's memory. Time and cost are shown with the range in which they are expected. "
    "Quality is a method's ceiling: how close it can come to what training all weights would reach, with enough data. "
    "Forgetting is the risk that the model loses what it could do before: the more weights move, and the further, the "
    "higher. "
    "A method fits if it leaves a reserve of the card free (b says how much), and is tight if it fits "
    "without that: one row that is longer than expected can end the run. It is blocked if it fits and something else "
    "is in the way: disk, budget, deadline, or the model; the reasons say what. "
    "l, e and r try another length, other epochs, another rank (with Shift: the other way); g another GPU; "
    "b shows which micro-batches and lengths still fit the selected method; "
    "$ lists the GPUs to rent for this job, the cheapest first; d checks the memory with a dry run, the real training "
    "step on tensors without values; t trains each method that fits for a few real steps on your data (it says first "
    "how long that takes) and corrects these figures by what it measures; x takes back what was set here, and goes "
    "back to the GPU of the first screen."
)


class CompareScreen(PlannedStep):
    """Three columns and why."""

    STEP: ClassVar[str] = "compare"
    HELP_TEXT: ClassVar[str] = _HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "select(-1)", "method", key_display="←→"),
        Binding("right", "select(1)", "method", show=False),
        Binding("l", "length(1)", "longer", show=False),
        Binding("L", "length(-1)", "shorter", show=False),
        Binding("e", "epochs(1)", "more epochs", show=False),
        Binding("E", "epochs(-1)", "fewer epochs", show=False),
        Binding("r", "rank(1)", "larger rank", show=False),
        Binding("R", "rank(-1)", "smaller rank", show=False),
        Binding("b", "sizes", "batch and length that fit", show=False),
        Binding("g", "gpu", "another GPU", show=False),
        Binding("dollar_sign", "rent", "what to rent", show=False),
        Binding("d", "dry_run", "dry run", show=False),
        Binding("t", "trial", "trial", show=False),
        Binding("x", "reset", "reset"),
        Binding("up", "scroll_reasons(-1)", "scroll", show=False),
        Binding("down", "scroll_reasons(1)", "scroll", show=False),
        Binding("pageup", "scroll_reasons(-5)", "scroll", show=False),
        Binding("pagedown", "scroll_reasons(5)", "scroll", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._moved = ""

    def body(self) -> ComposeResult:
        """Cards, legend, reasons, what-ifs."""
        with Horizontal(id="cards"):
            for method in METHODS:
                yield MethodCard(method)
        yield Static("", id="legend", markup=False)
        with VerticalScroll(id="reasons", can_focus=False), Horizontal(id="columns"):
            yield Prose(id="why")
            yield Prose(id="why-not")
        yield WhatIf()

    def refreshed(self) -> None:
        """Show the current answers, which may have changed meanwhile."""
        self.show()

    def on_resize(self) -> None:
        """Show as many details and columns as there is room for."""
        self.show()

    def proceed(self) -> None:
        """To the review of the selected method."""
        self.journey.method = self.journey.chosen()
        self.wizard.go_on()

    def show(self) -> None:
        """Everything, from the comparison as it is now."""
        comparison, chosen = self.journey.comparison(), self.journey.chosen()
        room = fit.available(comparison.device)
        scale = scale_for(room, (x.memory.peak_bytes for x in comparison.methods.values()))
        details = sum(self.size.height >= tall for tall in _TALL)
        for card in self.query(MethodCard):
            card.show(comparison, selected=card.method == chosen, room=room, scale=scale, details=details)
        self._show_legend(comparison, room, scale)
        self._show_reasons(comparison, chosen)
        journey, own = self.journey, self.journey.settings()
        restored = ", ".join(f"{key} {value}" for key, value in own.items() if key in journey.restored)
        what_if = self.query_one(WhatIf)
        what_if.show(comparison, chosen, own=own, moved=self._moved, restored=restored, box=journey.box_gpu)
        self.update_rail()
        self.read_again()

    def action_select(self, by: int) -> None:
        """The next column, or the previous one."""
        here = METHODS.index(self.journey.chosen())
        self._select(METHODS[min(max(here + by, 0), len(METHODS) - 1)])

    def on_method_card_wanted(self, event: MethodCard.Wanted) -> None:
        """A click on a column."""
        self._select(event.method)

    def action_length(self, by: int) -> None:
        """A longer maximum length, or a shorter one; after the model's context it starts again."""
        assert self.journey.model is not None
        context = self.journey.model.shape.context or LENGTHS[-1]
        lengths = [length for length in LENGTHS if length <= context] or [context]
        now = self._plan().max_length
        self._try("length", f"{now:,}", max_length=(next_of(lengths, now, by)))

    def action_epochs(self, by: int) -> None:
        """More passes over the data, or fewer."""
        now = self._plan().epochs
        self._try("epochs", f"{now:g}", epochs=next_of(EPOCHS, now, by))

    def action_rank(self, by: int) -> None:
        """A larger adapter, or a smaller one."""
        now = self._plan("lora").rank
        new = self.journey.with_setting("rank", str(next_of(RANKS, now, by)))
        self._try("rank", f"{now}", set=new.set)

    def action_gpu(self) -> None:
        """Another GPU; the figures follow the highlighted one."""
        from tui.screens.gpu_choice import GpuChoice

        journey = self.journey
        before, had = (journey.answers, journey.device, journey.restored), journey.settings()
        now = journey.answers.gpu or ""

        def chosen(kept: bool | None) -> None:
            dropped = ""
            if not kept or journey.answers.gpu == (now or None):
                journey.answers, journey.device, journey.restored = before
            else:
                journey.drop_what_was_for(another_model=False)
                own = journey.settings()
                dropped = ", ".join(f"{key} {value}" for key, value in had.items() if key not in own)
            self._moved = f"left to the planner again: {dropped}" if dropped else ""
            self.show()

        self.app.push_screen(GpuChoice(now, self._show_other_gpu), chosen)

    def _show_other_gpu(self) -> None:
        """A setting that the highlighted GPU can't take is left to the planner, as it is if that GPU is kept."""
        try:
            self.journey.comparison()
        except UserError:
            self.journey.drop_what_was_for(another_model=False)
        self.show()

    def action_rent(self) -> None:
        """Every known GPU for this job, the cheapest first; Enter plans for one."""
        from tui.screens.rent_choice import RentChoice

        journey, comparison = self.journey, self.journey.comparison()
        find = partial(journey.sources.offers, journey.answers, comparison.model, comparison.data, journey.start)
        device = comparison.device
        count = device.per_node if device.nodes > 1 else device.count
        planned = f"{device.name}:{count}" if count > 1 else device.name
        self.app.push_screen(RentChoice(find, planned, device.nodes), self._rented)

    def action_sizes(self) -> None:
        """The micro-batches and lengths that still fit, for the selected method."""
        from tui.screens.sizes import SizesScreen

        journey, method = self.journey, self.journey.chosen()
        find = partial(journey.sources.sizes, journey.comparison(), method, journey.start)
        self.app.push_screen(SizesScreen(METHOD_NAMES[method], find))

    def action_dry_run(self) -> None:
        """Each method's real step on fake tensors, compared with the memory formula."""
        from tui.screens.dry_run import DryRunScreen

        journey = self.journey
        self.app.push_screen(DryRunScreen(journey.sources.dry_run_command(journey.answers, journey.start)))

    def action_trial(self) -> None:
        """A few real steps of each method that fits, if this box can train them now."""
        from tui import trying
        from tui.screens.trial import TrialScreen

        journey = self.journey
        wanted = journey.sources.method_set(journey.answers, journey.start)
        try:
            trials = trying.trials(journey.comparison(), wanted)
        except UserError as error:
            self.notify(str(error), severity="warning")
            return
        command = journey.sources.trial_command(journey.answers, journey.start)
        self.app.push_screen(TrialScreen(command, trials), self._tried)

    def _tried(self, measured: bool | None) -> None:
        """Compare again with what was measured, which is read together with the device."""
        journey, method = self.journey, self.journey.chosen()
        if not measured or journey.hardware is None:
            return
        before = journey.comparison().methods[method]
        if journey.model is not None and journey.model.download_bytes:
            journey.model = journey.sources.find_model(journey.answers.model)  # the trial has downloaded it
        journey.here = journey.sources.here(journey.hardware)
        journey.device = journey.here
        if gpu := journey.answers.gpu:
            journey.device = journey.sources.spread(journey.sources.named(gpu), journey.answers)
        self._moved = f"trial: {METHOD_NAMES[method]} {figures.change(before, journey.comparison().methods[method])}"
        self.show()

    def _rented(self, offer: RentOffer | None) -> None:
        """Plan for it at its listed price: a price that the user gave belongs to the previous GPU."""
        if offer is None:
            return
        journey = self.journey
        before = (journey.answers, journey.device)
        self.wizard.plan_for(offer.spec, ONE_BOX)
        if offer.device.price is None or offer.device.price.source != "you":
            self.journey.answer(price_usd_per_hour=None)
        try:
            journey.comparison()
        except UserError as error:  # a setting that this GPU can't take
            journey.answers, journey.device = before
            self.notify(str(error), severity="warning")
            return
        self.journey.method = None
        self._moved = ""
        self.show()

    def action_reset(self) -> None:
        """Back to the GPU of the first screen; every setting is left to the planner again."""
        self._moved = ""
        self.journey.method = None
        self.journey.drop_settings()
        self.wizard.plan_for(self.journey.box_gpu or "", self.journey.box_boxes)
        self.show()

    def action_scroll_reasons(self, by: int) -> None:
        """Scroll the reasons, which may be longer than their room."""
        self.query_one("#reasons").scroll_relative(y=by, animate=False)

    def _plan(self, method: Method | None = None) -> Plan:
        comparison = self.journey.comparison()
        return comparison.methods[method or self.journey.chosen()].plan

    def _select(self, method: Method) -> None:
        self.journey.method = method
        self.query_one("#reasons").scroll_home(animate=False)
        self.show()

    def _try(self, what: str, was: str, **changes: Any) -> None:
        """Change answers and show the effect; a setting that the planner refuses is not kept."""
        method = self.journey.chosen()
        before, answers = self.journey.comparison().methods[method], self.journey.answers
        self.journey.answers = replace(answers, **changes)
        try:
            after = self.journey.comparison().methods[method]
        except UserError as error:
            self.journey.answers = answers
            self.notify(str(error), severity="warning")
            return
        self.journey.set_by_user("max_length" if what == "length" else what)
        now = {"length": f"{after.plan.max_length:,}", "epochs": f"{after.plan.epochs:g}", "rank": f"{after.plan.rank}"}
        self._moved = f"{what} {was} → {now[what]}: {METHOD_NAMES[method]} {figures.change(before, after)}"
        self.show()

    def _show_legend(self, comparison: Comparison, room: int, scale: int) -> None:
        width = max(20, self.size.width - 4)
        bar = max(10, (self.size.width - 2) // 3 - 4)
        drawn = {x for o in comparison.methods.values() for x in cells(o.memory.by_category, bar, scale)}
        if self.size.height >= _TALL[0]:
            drawn = set()  # the columns name them
        what = "RAM" if comparison.device.kind == "cpu" else "card"
        self.query_one("#legend", Static).update(legend(drawn, width, units.gib(room), what))

    def _show_reasons(self, comparison: Comparison, chosen: Method) -> None:
        """Side by side if there is room; else only those of the selected column."""
        wide = self.size.width >= 120
        best = comparison.recommended
        pro = [_why(comparison)] if best in (None, chosen) or wide else []
        others = [m for m in METHODS if m != best and (wide or m == chosen)]
        against = [_why_not(comparison, method) for method in others]
        (against if wide else pro).append(("Worth knowing", comparison.notes, "$foreground"))
        if not wide:
            pro, against = [*against, *pro], []
        self.query_one("#why", Prose).show(partial(_sections, pro))
        self.query_one("#why-not", Prose).show(partial(_sections, against))
        self.query_one("#why-not").display = bool(against)


def next_of(values: Sequence[Number], now: float, by: int) -> Number:
    """The next larger (or smaller) of `values`; after the last one, the first at the other end."""
    if by > 0:
        return next((value for value in values if value > now), values[0])
    return next((value for value in reversed(values) if value < now), values[-1])


Section = tuple[str, tuple[str, ...], str]
"""Heading, sentences, style of the heading."""


def _why(comparison: Comparison) -> Section:
    best = comparison.recommended
    name = METHOD_NAMES[best] if best else ""
    title = f"{name} is set" if best and comparison.method_set_by else f"Why {name}" if best else "Nothing to recommend"
    return title, comparison.reasons, "$primary" if best else "$error"


def _why_not(comparison: Comparison, method: Method) -> Section:
    return f"Why not {METHOD_NAMES[method]}", comparison.methods[method].why_not, "$warning"


def _sections(sections: list[Section], width: int) -> Content:
    """Headings with their sentences; one without sentences is left out."""
    parts: list[Content] = []
    for title, texts, style in sections:
        if texts:
            parts += [Content.styled(title, f"bold {style}"), sentences(map(in_wizard, texts), width)]
    return stacked(parts)
