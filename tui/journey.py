"""What was answered so far and what was found for it: the one state that the wizard's screens read and write."""

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
    from backend.planner.device import Device
    from backend.planner.estimates import Comparison
    from backend.presets import Preset


class Journey:
    """Answers, and the box, model and data that they name. A screen that is entered again finds all of it."""

    def __init__(self, sources: Sources, answers: Answers) -> None:
        self.sources = sources
        self.answers = answers
        self.hardware: Hardware | None = None
        self.here: Device | None = None
        """This box's device."""
        self.device: Device | None = None
        """The one that is planned for."""
        self.model: ModelInfo | None = None
        self.data: DataReport | None = None
        self.done: set[str] = set()
        """Steps that were answered."""
        self.method: Method | None = None
        """The method that the user chose; None follows the recommendation."""
        self.preset: str | None = None
        """Name of the preset that these answers come from, or were saved as."""
        self.start: Preset | None = None
        """The preset whose plan fields are kept."""
        self._compared: tuple[tuple[object, ...], Comparison] | None = None

    def start_from(self, preset: Preset | None) -> None:
        """Begin with this preset: what it answers, it answers, its settings are kept, and the rest stays as it was."""
        self.start, self.preset = preset, preset.name if preset else None
        self.method = preset.plan.get("method") if preset else None
        own = {"set": (), "max_length": None, "epochs": None, "effective_batch": None, "seed": None}
        self.answer(**own | dict(preset.job if preset else {}))

    def answer(self, **changes: Any) -> None:
        """Change answers; what was found for other answers stays."""
        self.answers = replace(self.answers, **changes)

    @property
    def is_complete(self) -> bool:
        """Device, model and data are known: there is something to compare."""
        return None not in (self.device, self.model, self.data)

    def comparison(self) -> Comparison:
        """The three methods under the answers as they are; computed once for the same answers."""
        assert self.device is not None and self.model is not None and self.data is not None
        asked = (self.answers, self.device, self.model, self.data, self.start)
        if self._compared is None or any(a is not b for a, b in zip(self._compared[0], asked, strict=True)):
            self._compared = (asked, self.sources.compare(*asked))
        return self._compared[1]

    def changes(self) -> str:
        """What the preset's own box had otherwise, in a sentence; empty without such a preset."""
        from backend import presets

        if self.start is None or self.start.plan.get("method", self.chosen()) != self.chosen():
            return ""
        comparison = self.comparison()
        return presets.changes(self.start, comparison, comparison.methods[self.chosen()])

    def forget_refused(self) -> str:
        """Drop settings (of an earlier session, of a preset or an edited file) that the planner refuses; says why."""
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
        """The demo model is chosen and its tokenizer is still being made: counts of tokens are estimates until then."""
        return self.answers.model == "demo" and not self.sources.demo_tokenizer_ready()

    def plan_setting(self, key: str) -> str | None:
        """What the user set for a plan field with `set`, or None."""
        for item in self.answers.set:
            name, _, value = item.partition("=")
            if name == key:
                return value
        return None

    def with_setting(self, key: str, value: str | None) -> Answers:
        """The answers with plan field `key` set to `value`, or left open again where None."""
        rest = tuple(item for item in self.answers.set if item.partition("=")[0] != key)
        return replace(self.answers, set=rest if value is None else (*rest, f"{key}={value}"))
