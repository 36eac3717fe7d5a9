"""What a run is planned for: this box's GPU or CPU, or a GPU that the user names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backend.answers import Method
from backend.measured.correction import Calibration, Correction
from backend.measured.kernels import Kernels
from backend.planner.box import Box


@dataclass(frozen=True)
class Price:
    """USD for one GPU for an hour; `source` says who charges it, and as of when."""

    low: float
    typical: float
    high: float
    source: str


@dataclass(frozen=True)
class Card:
    """One of this box's GPUs."""

    uuid: str
    """The UUID as CUDA_VISIBLE_DEVICES takes it."""
    index: int
    """Its number in nvidia-smi."""
    memory_bytes: int
    free_bytes: int
    idle: bool
    """Nothing computes on it, and nearly all of its memory is free."""
    users: tuple[str, ...] = ()
    """Sentences on the processes that use it."""


@dataclass(frozen=True)
class Pool:
    """The GPUs of one kind in this box that a run may take, the idle ones first, then by free memory."""

    cards: tuple[Card, ...]
    has: str
    """The box's GPUs, as the beginning of a sentence; empty for a single GPU."""
    others: Device | None = None
    """GPUs of other kinds in the box, which are taken too if the user wants more than there are of this kind."""
    whole: Device | None = None
    """If unlike GPUs were taken together, the device that they were taken from."""


@dataclass(frozen=True)
class Device:
    """One kind of device and how many of them."""

    kind: Literal["cuda", "cpu"]
    name: str
    count: int
    memory_bytes: int
    """What torch can have on one device: its total capacity; for a CPU the RAM that is available."""
    free_bytes: int
    """What is free now on one device; equal to `memory_bytes` if the device is not in this box."""
    flops_per_second: float
    """Peak dense 16-bit rate of one device (bf16, or fp16 without bf16); 0 if unknown."""
    bytes_per_second: float
    """Memory bandwidth of one device; 0 if unknown."""
    bf16: bool
    """Whether it computes bfloat16 at full speed."""
    compute_capability: tuple[int, int] | None
    price: Price | None
    here: bool
    """Whether it is in this box; a measured figure can then replace a guess."""
    per_node: int = 0
    """How many of them are in a box, if there are several boxes or may be; 0: all are in one."""
    node_bytes_per_second: float = 0.0
    """Bandwidth from one box to another; 0 if it is not known."""
    slowest: str = ""
    """If the GPUs are unlike, the name of the slowest, whose rates are used for all; empty if they are alike."""
    watts: float | None = None
    host: float | None = None
    """Time to launch a kernel on this box's host, relative to an A100's host; None for other boxes and usual hosts."""
    notes: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()
    """The GPUs of this box that it stands for, as CUDA_VISIBLE_DEVICES takes them; empty for any other device."""
    pool: Pool | None = None
    """The GPUs of this box that it is taken from (backend/planner/several.py); None for any other device."""
    taken: tuple[str, ...] = ()
    """Sentences on which GPUs of the pool it is, and which processes use them."""
    cores: int = 1
    """The most processes that can share a CPU; a run uses one by default."""
    box: Box | None = None
    """Host memory and disk of this box; None for a device that is not in it."""
    expandable_segments: bool = True
    """Whether torch's allocator can grow its segments in place there (backend/hardware/segments.py)."""
    obstacles: tuple[str, ...] = ()
    """Sentences, each with a fix, on why nothing can be trained on it as it is: its driver and torch don't agree."""
    kernels: tuple[tuple[str, Kernels], ...] = ()
    """The fastest kernels that runs measured on this box, by what they ran (backend/measured/kernels.py)."""
    calibration: Calibration | None = None
    """What finished runs on this device showed; None if there are none, and for a device that is not in this box."""

    def correction(self, method: Method, parameters: int) -> Correction:
        """The correction of predictions for a model of `parameters`; without finished runs it changes nothing."""
        return self.calibration.of(method, parameters) if self.calibration else Correction()

    @property
    def nodes(self) -> int:
        """How many boxes they are in."""
        return -(-self.count // self.per_node) if self.per_node else 1

    @property
    def label(self) -> str:
        """`4 x A100 SXM 80GB`, `2 boxes of 8 x H100 SXM`, or just the name of a single one.

        A CPU stays one, however many processes share it.
        """
        if self.nodes > 1:
            return f"{self.nodes} boxes of {self.per_node} x {self.name}"
        if self.slowest:
            return self.name
        if self.kind == "cpu":
            return f"{self.name}, {self.count} processes" if self.count > 1 else self.name
        return f"{self.count} x {self.name}" if self.count > 1 else self.name
