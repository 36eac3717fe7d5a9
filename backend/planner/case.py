"""The facts that the rules of the choice read, and the questions that they ask about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend import constants
from backend.answers import Answers, Method
from backend.constants.methods_toml import ChoiceTable, EvidenceTable
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.planner import fit, host, limits
from backend.planner.device import Device
from backend.planner.estimates import MethodEstimate


@dataclass(frozen=True)
class Case:
    """The facts that the rules read."""

    answers: Answers
    device: Device
    model: ModelInfo
    data: DataReport
    estimates: Mapping[Method, MethodEstimate]

    @property
    def thresholds(self) -> ChoiceTable:
        """The [choice] table of presets/methods.toml."""
        return constants.methods().choice

    @property
    def room(self) -> int:
        """Bytes that a run can have on one device."""
        return fit.available(self.device)

    @property
    def clean(self) -> bool:
        """Whether the data has few enough duplicates."""
        return self.data.duplicate_rows <= self.thresholds.duplicate_fraction * max(1, self.data.rows)

    def over_budget(self, method: Method) -> bool:
        """Whether the run is predicted to cost more than the budget."""
        cost, budget = self.estimates[method].cost_usd, self.answers.budget_usd
        return cost is not None and budget is not None and cost.point > budget

    def too_late(self, method: Method) -> bool:
        """Whether the run is predicted to take longer than the deadline."""
        deadline = self.answers.deadline_hours
        return deadline is not None and self.estimates[method].hours.point > deadline

    def lacking(self, method: Method) -> tuple[str, ...]:
        """What this box lacks (a torch that can use the GPU, memory, disk), and what the model can't do."""
        seen = self.estimates[method]
        refused = limits.no_four_bits(self.model) if method == "qlora" else None
        said = [x for x in (refused, limits.no_reference(seen.plan)) if x]
        return (*said, *self.device.obstacles, *host.obstacles(seen.host, seen.plan, self.device))

    def carried(self, method: Method) -> bool:
        """Whether the method fits the device and the box, the budget and the deadline."""
        fits = self.estimates[method].fit != "no" and not self.lacking(method)
        return fits and not self.over_budget(method) and not self.too_late(method)

    def runs_paid(self, method: Method) -> float | None:
        """How many runs of the method the budget pays for; None without a budget or a price, or if a run is free."""
        cost, budget = self.estimates[method].cost_usd, self.answers.budget_usd
        return budget / cost.point if cost and budget is not None and cost.point > 0 else None

    def roomy(self, method: Method) -> bool:
        """Whether the leanest settings leave much of the device's memory free: for speed, longer rows, or errors."""
        return self.estimates[method].least_bytes <= self.thresholds.roomy_fraction * self.room

    @property
    def evidence(self) -> EvidenceTable:
        """The [evidence] table: what published runs say if it differs from the guidance."""
        return constants.methods().evidence

    def spare(self, method: Method) -> float:
        """Share of the device's memory that the leanest settings leave free; negative if the method does not fit."""
        return 1 - self.estimates[method].least_bytes / max(1, self.room)

    def holds(self, method: Method) -> bool:
        """Whether the method's adapters have at least as many parameters as the data has target tokens."""
        return self.estimates[method].trainable_parameters >= self.data.scored_tokens

    @property
    def saves_little(self) -> bool:
        """Whether 4-bit weights save too little of LoRA's memory to be worth their cost."""
        lora, qlora = self.estimates["lora"].least_bytes, self.estimates["qlora"].least_bytes
        return lora - qlora < self.thresholds.worthwhile_saving * lora

    def healthy(self, method: Method) -> bool:
        """Whether the budget pays for several such runs or sets no limit, or QLoRA would not be cheaper here."""
        runs, cost, other = self.runs_paid(method), self.estimates[method].cost_usd, self.estimates["qlora"].cost_usd
        cheapest = cost is None or other is None or cost.point <= other.point
        return runs is None or runs >= self.thresholds.healthy_budget or cheapest
