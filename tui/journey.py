"""The answers so far and what was looked up for them: the one state that the wizard's screens read and write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backend.answers import Answers
from backend.errors import UserError
from tui.sources import Sources

if TYPE_CHECKING:
    from backend.answers import Method
    from backend.data.report import DataReport
    from backend.hardware import Hardware
    from backend.model.info import ModelInfo
    from backend.plan.preset import Preset
    from backend.planner.device import Device
    from backend.planner.estimates import Comparison


class Journey:
    """Answers, and the box, model and data that they name. All of it stays while the user moves between screens."""

    def __init__(self, sources: Sources, answers: Answers) -> None:
        self.sources = sources
        self.answers = answers
        self.hardware: Hardware | None = None
        self.here: Device | None = None
        """This box's device."""
        self.device: Device | None = None
        """The device to plan for."""
        self.model: ModelInfo | None = None
        self.data: DataReport | None = None
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
        own = {"set": (), "max_length": None, "epochs": None, "effective_batch": None, "seed": None}
        self.answer(**own | dict(preset.job if preset else {}))

    def answer(self, **changes: Any) -> None:
        """Change answers; what was looked up for the others stays."""
        self.answers = replace(self.answers, **changes)

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
