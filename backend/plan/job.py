"""What a run folder is made from: the plan, its inputs, and what was predicted (plan.toml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from msgspec import Meta

from backend.plan.plan import Plan

Bytes: TypeAlias = Annotated[int, Meta(ge=0, le=2**50)]
"""At most a pebibyte: a larger value means that the file is damaged."""
Rate: TypeAlias = Annotated[float, Meta(ge=0, le=1e30)]
"""Seconds, or a number of things per second."""


@dataclass(frozen=True)
class PeakParts:
    """The components of a peak in bytes, as predicted by the formulas; measured components are compared with these."""

    rest_bytes: Bytes
    """Weights and adapters: what is allocated after loading."""
    states_bytes: Bytes
    """The optimizer's states."""
    transient_bytes: Bytes
    """What is allocated and freed in a step: activations, logits, gradients, 16-bit copies, workspace."""
    slack_bytes: Bytes
    """What the allocator reserves besides allocated tensors."""
    fixed_bytes: Bytes
    """The CUDA context, or the interpreter with its libraries."""
    load_bytes: Bytes
    """The peak of loading, without `fixed_bytes`."""


@dataclass(frozen=True)
class Uncorrected:
    """What the formulas alone predict. Runs are compared with this, so that a correction never builds on another."""

    parameters: Annotated[int, Meta(ge=0, le=2**50)]
    """Parameters of the model."""
    memory: PeakParts
    tokens_per_second: Rate
    """0 if the device's speed is not known."""
    overhead_seconds: Rate
    """Starting, loading, writing checkpoints and the result."""
    flops_per_token: Rate = 0.0
    device_flops_per_second: Rate = 0.0
    """The rate that was assumed for the device."""


@dataclass(frozen=True)
class Prediction:
    """The figures shown before the start, with which the measured ones are compared at the end."""

    peak_bytes: int
    peak_allocated_bytes: int
    device_bytes: int
    """Memory of one device."""
    hours: float | None = None
    """None, like all times, if the device's speed is not known."""
    hours_low: float | None = None
    hours_high: float | None = None
    tokens_per_second: float | None = None
    cost_usd: float | None = None
    price_usd_per_hour: float | None = None
    budget_usd: float | None = None
    """Most that the run may cost, as the user said; None for no limit."""
    phases: Mapping[str, int] = field(default_factory=dict)
    """Peak bytes of load, train, eval ..., as the trainer measures them."""
    corrected_by_runs: int = 0
    """Finished runs on this box that corrected these figures."""
    uncorrected: Uncorrected | None = None
    trainable_parameters: Annotated[int, Meta(ge=0, le=2**50)] | None = None
    """None in the plan of an older version."""


@dataclass(frozen=True)
class Job:
    """Everything that the trainer needs; nothing in it belongs to a screen."""

    model: str
    """What the user typed; `model_folder` says where it is."""
    model_folder: str
    """Local folder, or the hub id if it must be downloaded first."""
    data: str
    plan: Plan
    device: str
    """`cuda` or `cpu`."""
    device_name: str
    hub_id: str | None = None
    """The base that an adapter names if the model came from the hub; None for a local folder."""
    device_uuids: tuple[str, ...] = ()
    """The chosen GPUs by their NVML UUIDs, one for each process of the plan; empty for a CPU."""
    predicted: Prediction | None = None
    mapping: tuple[str, ...] = ()
    """`role=column` as the user said; empty for detection."""
    output: str | None = None
    created: float = 0.0
    """Unix seconds."""
    preset: str | None = None
    budget_usd: float | None = None
    """The most that the run may cost, if the user said so."""
    adapter: str | None = None
    """Folder of the adapter that training starts from."""
    adapter_is_merged: bool = False
    """The adapter is merged into the base first, and training begins anew; False: it is trained further."""
    added_tokens: tuple[str, ...] = ()
    """Tokens that the base does not have, in the order of their ids."""

    @property
    def paid_devices(self) -> int:
        """Devices whose price is paid: several processes share one CPU."""
        return 1 if self.device == "cpu" else self.plan.processes
