"""What is predicted for each method, and the comparison from which the user chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from backend.answers import Answers, Method
from backend.data.finding import Finding
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.plan.plan import Plan
from backend.planner.device import Device

Fit = Literal["fits", "tight", "no"]


@dataclass(frozen=True)
class Interval:
    """A predicted figure and the range that it is expected in."""

    low: float
    point: float
    high: float


@dataclass(frozen=True)
class MemoryEstimate:
    """The peak on one device, in bytes."""

    peak_bytes: int
    """What the device must have: allocated, the allocator's slack, the CUDA context."""
    peak_allocated_bytes: int
    """Bytes that torch's allocator has allocated at the peak."""
    peak_phase: str
    """load, forward, backward, optimizer, eval, sample, save or merge."""
    by_category: Mapping[str, int]
    """Bytes at the peak, summing to `peak_bytes`: weights (with 16-bit copies of float32 ones), adapters, gradients,
    optimizer, activations, logits, workspace, reserve."""
    by_phase: Mapping[str, int]
    """Allocated bytes at the peak of each phase."""


@dataclass(frozen=True)
class HostEstimate:
    """Host memory and disk that a run needs, in bytes."""

    ram_by_phase: Mapping[str, int]
    """base (if an adapter is merged in memory first), load, train, save: what the process holds in each phase; merge:
    what merging the adapter takes afterwards."""
    disk_by_part: Mapping[str, int]
    """download, base (if the run makes one of its own), data, checkpoints, general, result, output: what the run
    writes; merged: the merged model afterwards."""
    kept_checkpoints: int = 0
    """Checkpoints that are kept at the same time, besides the best."""

    @property
    def ram_bytes(self) -> int:
        """The run's peak; merging happens after the run."""
        return max(size for phase, size in self.ram_by_phase.items() if phase != "merge")

    @property
    def disk_bytes(self) -> int:
        """All that the run writes to disk."""
        return sum(size for part, size in self.disk_by_part.items() if part != "merged")


@dataclass(frozen=True)
class MethodEstimate:
    """One method: its plan, and the predicted memory, time, cost and quality."""

    method: Method
    plan: Plan
    origin: Mapping[str, str]
    """Plan field -> the origin of its value: "you", "preset NAME", or the rule in a few words."""
    fit: Fit
    memory: MemoryEstimate
    least_bytes: int
    """Peak with the leanest settings (smallest micro-batch, everything recomputed): the least the method needs."""
    steps: int
    hours: Interval
    cost_usd: Interval | None
    """None if no price is known."""
    tokens_per_second: Interval
    """Tokens of the data (not padding) trained per second."""
    trainable_parameters: int
    checkpoint_bytes: int
    """Size of the finished adapter or model on disk."""
    host: HostEstimate
    """Memory of the host, and disk: download, kept checkpoints with their optimizer state, the result."""
    quality_ceiling: str
    forgetting_risk: str
    why_not: tuple[str, ...] = ()
    """Sentences on why not this method; empty for the recommended one."""
    obstacles: tuple[str, ...] = ()
    """Sentences on what prevents it: memory, money, time. Empty if it can be started as it is."""
    suggestions: tuple[str, ...] = ()
    """If it does not fit, what would make it fit, the smallest change first."""
    hours_by_phase: Mapping[str, float] = field(default_factory=dict)
    """load, train, evaluate, save: what `hours` is of; empty if the device's speed is not known."""


@dataclass(frozen=True)
class Comparison:
    """The three methods side by side, with the choice and its reasons."""

    answers: Answers
    device: Device
    model: ModelInfo
    data: DataReport
    methods: Mapping[Method, MethodEstimate]
    recommended: Method | None
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was assumed, and what the user should know before starting."""
    findings: tuple[Finding, ...] = ()
    """What was found in the data, also under the plan's `max_length` and batch; the most severe first."""
    method_set_by: str = ""
    """Who set the method: `you`, or `preset NAME`; empty if the planner chose it."""
