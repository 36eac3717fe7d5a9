"""The goal: how deep the change must go, what is at stake, and what it may cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from backend import units
from backend.errors import UserError
from backend.planner.estimates import Comparison
from tui.screens import numbers
from tui.screens.planned import PlannedStep
from tui.theme import METHOD_NAMES
from tui.widgets.choices import Choices
from tui.widgets.entry import Entry
from tui.widgets.field import Field
from tui.widgets.figures import in_short
from tui.widgets.picklist import Choice
from tui.widgets.prose import Prose, sentences, stacked

SHIFTS = (
    Choice("format", "format", "the way it answers: tone, structure, a schema"),
    Choice("domain", "domain", "a field's words and ways of working, on top of what it knows"),
    Choice("deep", "deep", "new behaviour throughout, another language, much new text"),
)
STAKES = (
    Choice("normal", "normal", "some loss of general ability is acceptable"),
    Choice("high", "high", "losing general ability or a wrong answer is costly"),
)
_HELP = (
    "The depth of the change and the stakes decide between an adapter and full fine-tuning; budget and deadline "
    "rule out what you can't pay or wait for. An empty field means no limit."
)


class GoalScreen(PlannedStep):
    """Goal and limits."""

    STEP: ClassVar[str] = "goal"
    HELP_TEXT: ClassVar[str] = _HELP

    def body(self) -> ComposeResult:
        """Two choices, five numbers, and the comparison that follows from them."""
        with Container(id="goal"):
            yield from self._questions()
            with VerticalScroll(id="follows", can_focus=False):
                yield Prose(id="so-far")

    def _questions(self) -> ComposeResult:
        answers = self.journey.answers
        with VerticalScroll(classes="form", can_focus=False):
            yield Static("How deep must the change go?", classes="question", markup=False)
            yield Choices("shift", SHIFTS, answers.shift, help="How far the model must move from what it does now.")
            yield Static("What is at stake?", classes="question", markup=False)
            yield Choices("stakes", STAKES, answers.stakes, help="High asks for a check of general ability afterwards.")
            yield Static("What may it cost?", classes="question", markup=False)
            yield Field(
                "variants",
                "variants to keep",
                numbers.text(answers.variants),
                hint="side by side, on one base",
                help="With several variants, an adapter for each takes far less space than a model for each.",
            )
            yield Field(
                "budget_usd",
                "budget, USD",
                numbers.text(answers.budget_usd),
                placeholder="no limit",
                hint="the most that this run may cost",
                help="The most that the run may cost, in US dollars.",
            )
            yield Field(
                "deadline_hours",
                "deadline, hours",
                numbers.text(answers.deadline_hours),
                placeholder="no limit",
                hint="the most that it may take",
                help="The most that the run may take, in hours.",
            )
            yield self._price_field()
            yield Field(
                "kwh_price_usd",
                "price of a kWh",
                numbers.text(answers.kwh_price_usd),
                placeholder="not counted",
                hint="USD; for a box that is yours",
                help="USD for a kilowatt-hour: a box that you own costs the energy of its GPUs at full power.",
            )

    def on_mount(self) -> None:
        """Start at the first question."""
        self.query_one("#field-shift").focus()
        if self.journey.is_complete and (refused := self.journey.forget_refused()):
            self.notify(f"An earlier setting is dropped: {refused}", severity="warning")
        self._follow()

    def on_choices_changed(self) -> None:
        """Another depth or stakes."""
        self._follow()

    def on_input_changed(self, event: Entry.Changed) -> None:
        """Another number."""
        name = (event.input.id or "").removeprefix("field-")
        self.query_one(f"#row-{name}", Field).complain("")
        self._follow()

    def refreshed(self) -> None:
        """The comparison may have changed with earlier answers."""
        self._follow()

    def proceed(self) -> None:
        """Check all fields; the first invalid one gets the focus."""
        try:
            self.journey.answer(**self._read())
        except UserError as error:
            self.complain(error, "variants")
            return
        self.update_rail()
        self.wizard.go_on()

    def _price_field(self) -> Field:
        device, answers = self.journey.device, self.journey.answers
        price = device.price if device else None
        typical = f"{price.typical:g}" if price else ""
        where = f"empty: {units.usd(price.typical)}, {price.source}" if price else "no price is known for this device"
        return Field(
            "price_usd_per_hour",
            "price of a GPU-hour",
            numbers.text(answers.price_usd_per_hour),
            placeholder=typical or "unknown",
            hint=f"empty: {units.usd(price.typical)}; 0 if it is yours" if price else "USD; 0 if it is yours",
            help=f"USD for one GPU for an hour; 0 for a box that you own. {where[0].upper()}{where[1:]}.",
        )

    def _read(self) -> dict[str, Any]:
        """The answers as entered. Raises UserError for the first invalid one."""

        def text(name: str) -> str:
            return self.query_one(f"#row-{name}", Field).text

        return {
            "shift": self.query_one("#field-shift", Choices).value,
            "stakes": self.query_one("#field-stakes", Choices).value,
            "variants": numbers.whole(text("variants") or "1", "variants", "variants", least=1),
            "budget_usd": numbers.number(text("budget_usd"), "budget", "budget_usd"),
            "deadline_hours": numbers.number(text("deadline_hours"), "deadline", "deadline_hours", above=True),
            "price_usd_per_hour": numbers.number(text("price_usd_per_hour"), "price", "price_usd_per_hour"),
            "kwh_price_usd": numbers.number(text("kwh_price_usd"), "price of a kWh", "kwh_price_usd"),
        }

    def _follow(self) -> None:
        """Show the comparison for these answers, if all of them are valid."""
        if not self.journey.is_complete:
            return
        try:
            self.journey.answer(**self._read())
        except UserError:
            return
        comparison = self.journey.comparison()
        self.query_one("#so-far", Prose).show(partial(so_far, comparison))


def so_far(comparison: Comparison, width: int) -> Content:
    """The comparison in short, and why; a low terminal shows its first lines."""
    best = comparison.recommended
    parts = [in_short(comparison, width)]
    if best is not None:
        parts += [*_section(f"Why {METHOD_NAMES[best]}", comparison.reasons, "$primary", width)]
    for method, seen in comparison.methods.items():
        if method != best:
            parts += _section(f"Why not {METHOD_NAMES[method]}", seen.why_not, "$warning", width)
    return stacked([*parts, *_section("Worth knowing", comparison.notes, "$foreground", width)])


def _section(title: str, texts: Sequence[str], style: str, width: int) -> list[Content]:
    return [Content(" "), Content.styled(title, f"bold {style}"), sentences(texts, width)] if texts else []
