"""Which model: those on this box first, then the demo, then the well-known ones, then whatever is typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.worker import get_current_worker

from backend import units
from backend.answers import Method
from backend.errors import UserError
from backend.model.info import ModelInfo
from backend.model.known import models as known_models
from backend.planner import fit
from backend.planner.estimates import MethodEstimate
from backend.planner.known_fits import ROW_TOKENS, ROWS
from tui.messages import Described, Listed
from tui.screens.looking import TYPING_PAUSE_SECONDS, LookingStep
from tui.theme import METHOD_NAMES
from tui.widgets import figures
from tui.widgets.bar import scale_for
from tui.widgets.bar import stacked as stacked_bar
from tui.widgets.entry import Entry
from tui.widgets.picker import Picker
from tui.widgets.picklist import Choice
from tui.widgets.preview import Fact, Preview, facts
from tui.widgets.prose import sentences, stacked

if TYPE_CHECKING:
    from backend.model.find import FoundModel
    from backend.model.known import Known
    from backend.planner.device import Device
    from backend.planner.estimates import Fit

DEMO = Choice("demo", "demo", "ships with fttui, 135 M")
_HELP = (
    "A folder with a model (Tab completes its path), a hub id such as Qwen/Qwen3-8B, a size such as 8b (to plan before "
    "you choose one), or demo, which comes with fttui. The list has what is on this box and well-known models, "
    "each with the most demanding method that still fits the device, for rows of usual length. Planning reads "
    "config.json and the weights' headers only: the weights are downloaded when you start."
)


_WIDE = 80
"""Width of the panel in cells from which each method has two more lines."""
_FITS = len("✗ too big")
_BY_DEMAND: tuple[Method, ...] = ("full", "lora", "qlora")
_KINDS = {"hub": "from the hub", "folder": "a folder", "demo": "ships with fttui", "size": "a size"}


class Found(NamedTuple):
    """A model that was looked up."""

    model: ModelInfo
    estimates: Mapping[Method, MethodEstimate]
    """What each method would take on the planned device, for data of a usual size."""


class ModelScreen(LookingStep):
    """The base model."""

    STEP: ClassVar[str] = "model"
    HELP_TEXT: ClassVar[str] = _HELP

    def body(self) -> ComposeResult:
        """The question on one side, what is known about the model on the other."""
        with Container(classes="split"):
            yield Picker(
                "Which model do you fine-tune?",
                "model",
                placeholder="qwen, 8b, a hub id, a folder; Tab completes",
                help=_HELP,
                paths="folders",
            )
            yield Preview(id="preview")

    def on_mount(self) -> None:
        """List what is here, in a thread: a hub cache can be large."""
        self.query_one(Entry).focus()
        self.query_one(Preview).say("model", "looking at what is on this box…", "…")
        self.is_looking = True
        self.run_worker(self._list, thread=True, group="list")

    def on_listed(self, event: Listed) -> None:
        """Offer the models; the last answer is highlighted."""
        found: list[FoundModel] = event.found
        here = [_choice(x) for x in found]
        listed = {choice.value for choice in here}
        known = [_known(hub_id, shape) for shape in known_models() for hub_id in own_ids(shape) if hub_id not in listed]
        choices = [*here, *([] if DEMO.value in listed else [DEMO]), *known]
        self.query_one(Picker).offer(choices, self.journey.answers.model or choices[0].value)
        if self.journey.device is not None:
            self.run_worker(partial(self._describe, here, self.journey.device), thread=True, group="fits")

    def on_described(self, event: Described) -> None:
        """What fits the device is known by now."""
        event.stop()
        self.query_one(Picker).describe(event.details)

    def on_picker_changed(self, event: Picker.Changed) -> None:
        """Look up what is highlighted now."""
        typed = bool(self.query_one(Entry).value)
        self.look(event.value, partial(self._find, event.value), TYPING_PAUSE_SECONDS if typed else 0.0)

    def looking(self) -> None:
        """Say that the model is being looked up."""
        self.query_one(Preview).say(self.query_one(Picker).value, "looking…", "…")

    def found(self, value: Found) -> None:
        """Show its facts, and what it would take."""
        self.query_one(Picker).complain("")
        model = value.model
        build = partial(preview, model, self.journey.device, value.estimates)
        self.query_one(Preview).show(model.shape.name or model.reference, build, _KINDS[model.kind])

    def take(self, found: Found) -> None:
        """Store it as the answer."""
        value = found.model
        before = self.journey.answers.model
        self.journey.model = value
        self.journey.answer(model=value.reference)
        if before not in ("", value.reference) and (dropped := self.journey.drop_what_was_for(another_model=True)):
            self.notify(f"Left to the planner again, as they were for {before}: {dropped}.")

    def failed(self, error: UserError) -> None:
        """Mark the field."""
        self.query_one(Preview).say(self.query_one(Picker).value, "not a model that can be used")
        self.query_one(Picker).complain(str(error))

    def _find(self, reference: str) -> Found:
        """In the worker: the model, and what each method would take."""
        sources, device = self.journey.sources, self.journey.device
        model = sources.find_model(reference)
        return Found(model, sources.estimates(model, device) if device is not None else {})

    def _list(self) -> None:
        self.post_message(Listed(self.journey.sources.models_here()))

    def _describe(self, here: list[Choice], device: Device) -> None:
        """In the worker: what fits `device`, of the models that are here and of the well-known ones."""
        sources, details = self.journey.sources, {}
        for choice in here:
            with suppress(UserError):
                fits = sources.fits(sources.find_model(choice.value), device)
                details[choice.value] = f"{choice.detail}  {fit_words(fits)}"
        for shape in sources.known_fits(device):
            words = f"{units.count(shape.parameters)}  {fit_words(shape.fits)}"
            details |= {hub_id: words for hub_id in shape.ids if hub_id not in details}
        if not get_current_worker().is_cancelled:
            self.post_message(Described(details))


def own_ids(known: Known) -> list[str]:
    """The hub ids of a model that are its maker's own; copies by others are found when they are typed."""
    maker = known.id.partition("/")[0]
    return [hub_id for hub_id in known.ids if hub_id.partition("/")[0] == maker]


def _known(hub_id: str, known: Known) -> Choice:
    return Choice(hub_id, hub_id, f"{units.count(known.parameters)}{' ' * (_FITS + 2)}")


def fit_words(fits: Mapping[Method, Fit]) -> str:
    """The most demanding method that fits: `✓ Full`, `! QLoRA` if that is tight; `✗ too big` if none does.

    Padded, so that a list of them is in columns.
    """
    fitting = [method for method in _BY_DEMAND if fits.get(method, "no") != "no"]
    if not fitting:
        return "✗ too big"
    sign = "✓" if "fits" in fits.values() else "!"
    return f"{sign} {METHOD_NAMES[fitting[0]]}".ljust(_FITS)


def _choice(found: FoundModel) -> Choice:
    """Its name at the left; at the right where it is and how large."""
    name, *more = found.label.split(" · ")
    count, origin = (more[0].removesuffix(" parameters"), more[-1]) if more else ("", "")
    return Choice(found.reference, "demo" if found.reference == DEMO.value else name, f"{origin}  {count}".strip())


def preview(model: ModelInfo, device: Device | None, estimates: Mapping[Method, MethodEstimate], width: int) -> Content:
    """What is known about a model, for `width` columns."""
    shape = model.shape
    rows: list[Fact] = [
        ("parameters", f"{units.count(shape.parameters)}  {shape.family}"),
        ("layers", f"{shape.layers}, {shape.hidden:,} wide, {shape.heads} heads"),
        ("vocabulary", f"{shape.vocab:,}{', head tied' if shape.tied else ''}"),
        ("context", f"{shape.context:,} tokens"),
        ("licence", shape.license or "not stated"),
        ("tuned", "for chat already" if shape.instruct else "no: a base model, which completes text"),
        ("weights", _weights(model)),
    ]
    if device is not None:
        where = "RAM" if device.kind == "cpu" else device.name
        rows.append(("in 16-bit", f"{figures.of_room(shape.parameters * 2, device.memory_bytes)}, {where}"))
    notes = (note for note in model.notes if not note.startswith("Licence:"))
    return stacked([facts(rows, width), sentences(notes, width), *_would_take(estimates, device, width)])


def _would_take(estimates: Mapping[Method, MethodEstimate], device: Device | None, width: int) -> Iterator[Content]:
    """A line and a bar a method: before there is data, for rows of a usual number and length."""
    if device is None or not estimates:
        return
    room = fit.available(device)
    scale = scale_for(room, (seen.memory.peak_bytes for seen in estimates.values()))
    title = f"── what it would take, {ROWS:,} rows of {ROW_TOKENS} tokens "
    yield Content.styled(title.ljust(width, "─")[:width], "$faint")
    for method, seen in estimates.items():
        word, bar = figures.fit_word(seen), max(10, min(width, 60 if width < _WIDE else 90))
        text = f"  {figures.of_room(seen.memory.peak_bytes, room)}   {figures.hours(seen.hours.point)}"
        yield Content.assemble((METHOD_NAMES[method].ljust(7), "bold"), word, (text, "$faint"))
        yield stacked_bar(seen.memory.by_category, bar, scale, room)
        if width >= _WIDE:
            yield Content.styled(_how(seen), "$faint")


def _how(seen: MethodEstimate) -> str:
    """How it would be trained, what it leaves, and what to expect of it."""
    plan = seen.plan
    parts = [
        f"{plan.micro_batch} at a time{', recomputed' if plan.checkpointing else ''}",
        f"{plan.optimizer.replace('_', ' ')}",
        f"trains {units.count(seen.trainable_parameters)}",
        f"{figures.speed(seen.tokens_per_second.point)}",
        f"saves {units.disk(seen.checkpoint_bytes)}",
    ]
    expected = f"quality {seen.quality_ceiling}, forgetting {seen.forgetting_risk}"
    return f"       {' · '.join(parts)}\n       {expected}"


def _weights(model: ModelInfo) -> str:
    if model.kind == "size":
        return "none: a size to plan with"
    if model.kind == "demo" and not model.has_weights:
        return "in the demo's package, made ready at first use"
    if model.has_weights:
        return f"on this box, {units.disk(model.weight_bytes)}"
    return f"to download, {units.disk(model.download_bytes)}" if model.download_bytes else "not here"
