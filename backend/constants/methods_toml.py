"""presets/methods.toml: hyperparameters, their rules, and the thresholds of the choice."""

from __future__ import annotations

from typing import Literal

from backend.answers import Method
from backend.constants.table import Table


class MethodTable(Table, frozen=True, kw_only=True):
    """One method: plan fields, the rules that change them, and what to expect of it."""

    title: str
    learning_rate: float
    learning_rate_large: float
    """The learning rate of models with more than `large_parameters`."""
    large_parameters: int
    effective_batch: int
    max_grad_norm: float
    weight_decay: float
    quality_ceiling: str
    quality_source: str
    forgetting_risk: str
    forgetting_source: str


class AdapterTable(MethodTable, frozen=True, kw_only=True):
    """A method that trains adapters."""

    rank: int
    rank_steps: tuple[int, ...]
    """Ranks that are chosen from, ascending."""
    alpha: float
    dropout: float


class QloraTable(AdapterTable, frozen=True, kw_only=True):
    """LoRA over 4-bit weights."""

    small_parameters: int
    """Models of fewer parameters lose quality by 4-bit weights."""


class EpochsTable(Table, frozen=True):
    """Passes over data of fewer rows than this, or of any number."""

    epochs: int
    below_rows: float = float("inf")


class CommonTable(Table, frozen=True):
    """Plan fields and rules of all methods."""

    schedule: Literal["cosine", "linear", "constant"]
    warmup_fraction: float
    warmup_fraction_short: float
    """`warmup_fraction` of runs of fewer than `short_steps`."""
    short_steps: int
    warmup_steps: tuple[int, int]
    """The fewest and the most steps."""
    warmup_most: float
    """Part of a very short run that warm-up may take."""
    eval_fraction: float
    keep_checkpoints: int
    epochs: tuple[EpochsTable, ...]
    length_percentile: float
    float16_overflows: tuple[str, ...]
    untrainable: tuple[str, ...]
    """Families whose forward or backward pass fails in the transformers that this was tried with."""
    no_four_bits: tuple[str, ...]
    """Families whose layers can't be quantised by bitsandbytes."""
    wrappers: tuple[str, ...]
    """Model types of images and text whose text part is known to train right."""
    not_tried: tuple[str, ...]
    """Text families for which that is not known."""
    length_minimum: int
    length_maximum: int


class PreferenceTable(Table, frozen=True):
    """Preference training (dpo, kto)."""

    dpo_learning_rate: float
    kto_learning_rate: float
    epochs: int
    beta: float


class DemoTable(Table, frozen=True):
    """The demo model on the demo data, on a CPU."""

    effective_batch: int
    max_steps: int
    eval_every: int


class ChoiceTable(Table, frozen=True):
    """Thresholds of the recommendation."""

    tight_fraction: float
    roomy_fraction: float
    healthy_budget: float
    worthwhile_saving: float
    deep_rows: int
    duplicate_fraction: float
    few_rows: int


class EvidenceTable(Table, frozen=True):
    """What published runs say if it differs from the guidance."""

    lora_score: float
    full_score: float
    score_rows: int
    spare: float
    points_lost: int
    points_lost_small: int
    tiny_parameters: int
    many_rows: int
    kept_lora: float
    kept_full: float
    drift_lora: float
    drift_full: float


class GuidanceFigures(Table, frozen=True):
    """One method's cost as the guidance has it."""

    usd: tuple[int, int]
    gpus: tuple[str, ...]
    """Prefixes of the names of comparable GPUs."""
    count: int
    """From this number of devices on, a job is comparable."""
    on: str


class GuidanceTable(Table, frozen=True):
    """The guidance's own figures for an 8B model."""

    parameters: tuple[int, int]
    lora: GuidanceFigures
    qlora: GuidanceFigures
    full: GuidanceFigures
    adapter_bytes: tuple[int, int]
    checkpoint_bytes: tuple[int, int]

    def of(self, method: Method) -> GuidanceFigures:
        """The figures of one method."""
        return {"lora": self.lora, "qlora": self.qlora, "full": self.full}[method]


class SeveralTable(Table, frozen=True):
    """Several GPUs of this box."""

    idle: float


class RentTable(Table, frozen=True):
    """GPUs to rent."""

    counts: tuple[int, ...]


class SuggestionsTable(Table, frozen=True):
    """What would make a method fit."""

    shortest_length: int


class MethodsTable(Table, frozen=True):
    """The whole file."""

    lora: AdapterTable
    qlora: QloraTable
    full: MethodTable
    common: CommonTable
    preference: PreferenceTable
    demo: DemoTable
    choice: ChoiceTable
    evidence: EvidenceTable
    guidance: GuidanceTable
    several: SeveralTable
    rent: RentTable
    suggestions: SuggestionsTable

    def of(self, method: Method) -> MethodTable:
        """The table of one method."""
        return {"lora": self.lora, "qlora": self.qlora, "full": self.full}[method]

    def adapter(self, method: Method) -> AdapterTable:
        """The table of a method that trains adapters."""
        return self.qlora if method == "qlora" else self.lora
