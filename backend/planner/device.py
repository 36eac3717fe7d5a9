"""What a run is planned for: this box's GPU or CPU, or a GPU that the user names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backend.answers import Method
from backend.measured.correction import Calibration, Correction
from backend.planner.box import Box


@dataclass(frozen=True)
class Price:
    """USD for one GPU for an hour; `source` says where it comes from and when."""

    low: float
    typical: float
    high: float
    source: str


@dataclass(frozen=True)
class Card:
    """One of this box's GPUs."""

    uuid: str
    """As CUDA_VISIBLE_DEVICES takes it."""
    index: int
    """nvidia-smi's number."""
    memory_bytes: int
    free_bytes: int
    idle: bool
    """Nothing computes on it, and about all of its memory is free."""
    users: tuple[str, ...] = ()
    """Sentences on who is on it."""


@dataclass(frozen=True)
class Pool:
    """The alike GPUs of this box that a run may take: the idle ones first, of those and of the others the freest."""

    cards: tuple[Card, ...]
    has: str
    """What the box has, as the beginning of a sentence; empty if it is one GPU."""


@dataclass(frozen=True)
class Device:
    """One kind of device and how many of them."""

    kind: Literal["cuda", "cpu"]
    name: str
    count: int
    memory_bytes: int
    """What torch can have on one device: its total capacity; for a CPU the RAM that is available."""
    free_bytes: int
    """What is free now on one device; equal to `memory_bytes` where the device is not here."""
    flops_per_second: float
    """Peak dense 16-bit rate of one device (bf16, or fp16 where it has no bf16); 0 if unknown."""
    bytes_per_second: float
    """Memory bandwidth of one device; 0 if unknown."""
    bf16: bool
    """Does bfloat16 well."""
    compute_capability: tuple[int, int] | None
    price: Price | None
    here: bool
    """This box has it; a measured figure can replace a guess."""
    watts: float | None = None
    notes: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()
    """The GPUs of this box that it stands for, as CUDA_VISIBLE_DEVICES takes them; empty for any other device."""
    pool: Pool | None = None
    """The GPUs of this box that it is taken from (backend/planner/several.py); None for any other device."""
    taken: tuple[str, ...] = ()
    """Sentences: which of the pool it is, and who else is on them."""
    box: Box | None = None
    """What this box has around it; None for a device that is not here."""
    calibration: Calibration | None = None
    """What finished runs on this box say of the predictions; None if there are none, and for a device elsewhere."""

    def correction(self, method: Method, parameters: int) -> Correction:
        """What predictions for a model of `parameters` are corrected by; by nothing without finished runs."""
        return self.calibration.of(method, parameters) if self.calibration else Correction()

    @property
    def label(self) -> str:
        """`4 x A100 SXM 80GB`, or just the name of a single one."""
        return f"{self.count} x {self.name}" if self.count > 1 else self.name
