"""Training runs that others have published, with their settings: predictions are compared with them.

`runs.json` has one run a row and says where each was read; `shapes.json` has the models that presets/models.toml lacks.
Nothing here was measured by this project.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from backend.answers import Method
from backend.hardware import catalogue
from backend.model import known
from backend.model.config import shape_from_config
from backend.model.shape import Linear, ModelShape
from backend.planner import devices
from backend.planner.device import Device

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """One published run. None stands for what its source does not give; sizes are in bytes, lengths in tokens."""

    source: str
    """Key of `sources()`."""
    model: str
    """A hub id from presets/models.toml or shapes.json."""
    method: Method
    quantization: Literal["none", "nf4", "gptq"]
    gpu: str
    """A name from presets/gpus.toml."""
    gpus: int
    micro_batch: int
    """Sequences of one forward pass on one GPU."""
    accumulation: int | None
    """Forward passes an optimizer step."""
    length: int
    """Tokens of a sequence, or of the longest row if they are not packed."""
    row_tokens: float | None
    """Mean tokens of a row; None if every sequence is filled, or if it is not given."""
    packed: bool
    """Sequences are filled: no padding."""
    checkpointing: bool | None
    chunked_loss: bool | None
    activation_offload: bool
    optimizer: Literal["adamw", "paged_adamw_8bit"]
    optimizer_in_backward: bool
    kernels: Literal["stock", "upcast", "fused", "compiled", "engine"]
    """stock: transformers as it is; upcast: with peft's float32 norms and hidden states; fused or compiled: others';
    engine: no PyTorch, and no host that launches kernels one by one."""
    attention: Literal["sdpa", "flash_attention_2", "eager"] | None
    precision: Literal["bfloat16", "bfloat16-amp", "float16", "float16-amp", "float32-amp"]
    """The number type of the weights; with `-amp` the run computes under autocast."""
    adapter_targets: str | None
    """As the plan field `target_modules`; None for full fine-tuning, and if it is not given."""
    rank: int | None
    peak_bytes: int | None
    peak_kind: Literal["allocated", "reserved", "device"] | None
    """What `peak_bytes` is: allocated by torch, reserved by its allocator, or in use on the whole card."""
    device_bytes: int | None
    """The whole card's peak (nvidia-smi), if it is given beside another."""
    at_rest_bytes: int | None
    """Allocated between two steps."""
    tokens_per_second: float | None
    """Of one GPU."""
    notes: str
    unlike: str | None = None
    """Why the run is left out of the time estimate: there is no term for it, or its speed is not clear."""
    read: str = "2026-11-24"
    """When it was read."""
    loaded_bytes: int | None = None
    """Allocated after loading."""
    forward_bytes: int | None = None
    """The peak of the forward pass, loss included."""
    optimizer_bytes: int | None = None
    """The peak of the optimizer step."""


@dataclass(frozen=True)
class Source:
    """Where runs were read."""

    title: str
    notes: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    read: str
    sources: dict[str, Source]
    columns: list[str]
    rows: list[list[Any]]


@cache
def _file() -> _File:
    return msgspec.json.decode((HERE / "runs.json").read_bytes(), type=_File)


@cache
def runs() -> tuple[Run, ...]:
    """All runs, in the file's order. The last columns may be missing in a row."""
    file = _file()
    return tuple(msgspec.convert(dict(zip(file.columns, row, strict=False)), Run) for row in file.rows)


def sources() -> dict[str, Source]:
    """Where they were read, by the key that a run names."""
    return _file().sources


def shape(model: str) -> ModelShape:
    """The shape of a run's model: of shapes.json, else of presets/models.toml. Raises KeyError for any other."""
    if model in _shapes():
        return _shapes()[model]
    found = known.by_name(model)
    if found is None:
        raise KeyError(model)
    return found[0].shape(found[1])


@cache
def _shapes() -> dict[str, ModelShape]:
    entries = json.loads((HERE / "shapes.json").read_bytes())["shapes"]
    return {entry["id"]: _shape(entry) for entry in entries}


def _shape(entry: dict[str, Any]) -> ModelShape:
    if "config" in entry:
        return shape_from_config(entry["config"], entry["id"])
    sizes = dict(entry["plain"])
    linears = tuple(Linear(*linear) for linear in sizes.pop("linears"))
    return ModelShape(name=entry["id"], family="", linears=linears, **sizes)


def device(run: Run) -> Device:
    """The GPUs of a run, as the catalogue describes them."""
    spec = next(spec for spec in catalogue.specs() if spec.name == run.gpu)
    return devices.from_catalogue(spec, run.gpus)
