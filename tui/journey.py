"""The answers so far and what was looked up for them: the one state that the wizard's screens read and write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backend import answers_file
from backend.answers import Answers
from backend.errors import UserError
from backend.plan import fields
from tui.sources import Sources

if TYPE_CHECKING:
    from backend.answers import Method
    from backend.data.report import DataReport
    from backend.hardware import Hardware
    from backend.model.info import ModelInfo
    from backend.plan.preset import Preset
    from backend.planner.device import Device
    from backend.planner.estimates import Comparison


Reading = tuple[Mapping[str, Any], bool]
"""The plan fields that change what is read of the data, and whether the model's tokenizer is there to count tokens."""
Boxes = tuple[int | None, float | None]
"""How many boxes of the planned GPUs, and the Gbit/s between them; ONE_BOX unless the user names several."""
ONE_BOX: Boxes = (None, None)
SETTINGS = ("max_length", "epochs", "effective_batch", "seed")
"""The answers that are plan fields themselves; all other plan fields are in `set`."""


class Journey:
    """The answers, and the box, model and data that they name. It is kept while the user moves between screens."""

    def __init__(self, sources: Sources, answers: Answers, prices: Mapping[str, float] | None = None) -> None:
        self.sources = sources
        self.answers = answers
        self.restored: frozenset[str] = frozenset(self.settings())
        """Plan fields that an earlier session set; the screens mark them as such."""
        self.box_gpu = answers.gpu
        """The GPU that was chosen on the first screen; None for this box."""
        self.box_boxes: Boxes = (answers.nodes, answers.node_gbps)
        """How many of that GPU, as chosen there."""
        self.prices = dict(prices or {})
        """Device -> the price of an hour that the user gave for it."""
        self.hardware: Hardware | None = None
        self.here: Device | None = None
        """This box's device."""
        self.device: Device | None = None
        """The device to plan for."""
        self.model: ModelInfo | None = None
        self.data: DataReport | None = None
        self.read_as: Reading | None = None
        """How `data` was read."""
        self.done: set[str] = set()
        """Steps that were answered."""
        self.method: Method | None = None
        """The method that the user chose; None follows the recommendation."""
        self.preset: str | None = None
        """Name of the preset that these answers come from or were saved as."""
        self.start: Preset | None = None
        """The preset whose plan fields are kept."""
        self._compared: tuple[tuple[object, ...], Comparison] | None = None

    def start_from(self, preset: Preset | None) -> None:
        """Start from this preset: take over its answers and settings; other answers stay as they are."""
        self.start, self.preset = preset, preset.name if preset else None
        self.method = preset.plan.get("method") if preset else None
        self.drop_settings()
        self.answer(**dict.fromkeys(answers_file.OF_ONE_RUN) | dict(preset.job if preset else {}))

    def answer(self, **changes: Any) -> None:
        """Change answers; what was looked up for the other answers is kept."""
        self.answers = replace(self.answers, **changes)

    def plan_for(self, device: Device | None, gpu: str | None) -> None:
        """Plan for `device`, which `gpu` names (None: this box); the price that the user gave for it comes with it."""
        if self.device is not None:
            self._keep_price()
            if device is None or _priced(device) != _priced(self.device):
                self.answer(price_usd_per_hour=self.prices.get(_priced(device)) if device else None)
        self.device = device
        self.answer(gpu=gpu)

    @property
    def boxes(self) -> Boxes:
        """How many boxes are planned for."""
        return self.answers.nodes, self.answers.node_gbps

    def save(self) -> None:
        """Keep the answers as the next session's defaults. Raises OSError and UserError."""
        self._keep_price()
        answers_file.save(self.answers, self.prices)

    def settings(self) -> dict[str, str]:
        """The plan fields that the answers set, with their values as text."""
        own = {key: getattr(self.answers, key) for key in SETTINGS}
        found = {key: fields.text(value) for key, value in own.items() if value is not None}
        return found | {name: value for name, _, value in (item.partition("=") for item in self.answers.set)}

    def drop_settings(self, names: Collection[str] | None = None) -> str:
        """Leave these plan fields (all of them by default) to the planner again; returns which, in a few words."""
        dropped = {key: value for key, value in self.settings().items() if names is None or key in names}
        if not dropped:
            return ""
        rest = tuple(item for item in self.answers.set if item.partition("=")[0] not in dropped)
        self.answer(**{key: None for key in SETTINGS if key in dropped}, set=rest)
        self.restored -= dropped.keys()
        return ", ".join(f"{key} {value}" for key, value in dropped.items())

    def drop_what_was_for(self, *, another_model: bool) -> str:
        """Drop the settings that don't apply to another model or another device; returns which, in a few words.

        A preset's answers were made to be used elsewhere, and stay.
        """
        from backend.presets import PER_BOX

        if self.start is not None:
            return ""
        return self.drop_settings(None if another_model else {*PER_BOX, *self.restored})

    def set_by_user(self, key: str) -> None:
        """The user has set this plan field in this session."""
        self.restored -= {key}

    def _keep_price(self) -> None:
        """Remember the user's price for the planned device only: another GPU has another price."""
        own = self.answers.price_usd_per_hour
        if self.device is not None and own is not None:
            self.prices[_priced(self.device)] = own
        elif self.device is not None:
            self.prices.pop(_priced(self.device), None)

    @property
    def is_complete(self) -> bool:
        """Device, model and data are known: there is something to compare."""
        return None not in (self.device, self.model, self.data)

    def comparison(self) -> Comparison:
        """The three methods for the current answers; computed once for the same answers."""
        assert self.device is not None and self.model is not None and self.data is not None
        asked = (self.answers, self.device, self.model, self.data, self.start)
        if self._compared is None or any(a is not b for a, b in zip(self._compared[0], asked, strict=True)):
            self._compared = (asked, self.sources.compare(*asked))
        return self._compared[1]

    def changes(self) -> str:
        """What is planned differently from the preset's own box, in a sentence; empty if nothing is."""
        from backend import presets

        if self.start is None or self.start.plan.get("method", self.chosen()) != self.chosen():
            return ""
        comparison = self.comparison()
        return presets.changes(self.start, comparison, comparison.methods[self.chosen()])

    def forget_refused(self) -> str:
        """Drop settings (of an earlier session, a preset or an edited file) that the planner refuses; returns why."""
        try:
            self.comparison()
        except UserError as error:
            self.start_from(None)
            return str(error)
        return ""

    def chosen(self) -> Method:
        """The user's method, else the recommended one, else the one that needs the least memory."""
        comparison = self.comparison()
        if self.method is not None:
            return self.method
        if comparison.recommended is not None:
            return comparison.recommended
        return min(comparison.methods, key=lambda method: comparison.methods[method].memory.peak_bytes)

    def reading(self) -> Reading:
        """How the data would be read now: settings choose its targets, and the demo's tokenizer may be ready by now."""
        return self.sources.read_by(self.answers, self.start), not self.waits_for_demo()

    def waits_for_demo(self) -> bool:
        """The demo model is chosen, but its tokenizer is not ready: until then, numbers of tokens are estimates."""
        return self.answers.model == "demo" and not self.sources.demo_tokenizer_ready()

    def plan_setting(self, key: str) -> str | None:
        """The value that the user set for a plan field, or None."""
        for item in self.answers.set:
            name, _, value = item.partition("=")
            if name == key:
                return value
        return None

    def with_setting(self, key: str, value: str | None) -> Answers:
        """The answers with plan field `key` set to `value`, or left to the planner if it is None."""
        rest = tuple(item for item in self.answers.set if item.partition("=")[0] != key)
        return replace(self.answers, set=rest if value is None else (*rest, f"{key}={value}"))


def _priced(device: Device) -> str:
    """The key of the device's price: a card in this box has another price than the same card elsewhere."""
    return f"{device.name}, here" if device.here else device.name
