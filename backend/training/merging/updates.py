"""What an adapter changes in its base's weights, matrix by matrix."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor

from backend.model.adapter import CONFIG, PREFIX, WEIGHTS, A, B
from backend.training.adapters import ROWS

_LENGTHS = ".lora_magnitude_vector"
_OTHERS = ("fan_in_fan_out", "rank_pattern", "alpha_pattern", "target_parameters", "layers_to_transform", "lora_bias")
"""Fields of peft's configuration for variants of LoRA that are not merged here."""


class Update(Protocol):
    """A change of one weight of the base."""

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a weight of this shape can take the change."""

    def merged(self, weight: Tensor) -> Tensor:
        """The merged weight, in the type of `weight`."""


@dataclass(frozen=True)
class LowRank:
    """LoRA's product, and DoRA's lengths of its rows if there are any."""

    a: Tensor
    """rank x inputs."""
    b: Tensor
    """outputs x rank."""
    scale: float
    lengths: Tensor | None = None
    """outputs."""

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it is outputs x inputs."""
        return shape == (self.b.shape[0], self.a.shape[1])

    def merged(self, weight: Tensor) -> Tensor:
        """W + scale * B @ A, its rows then brought to their lengths; summed in float32 and rounded once."""
        total = weight.float() + self.scale * (self.b.float() @ self.a.float())
        if self.lengths is not None:
            total *= (self.lengths.float() / torch.linalg.norm(total, dim=1)).unsqueeze(1)
        return total.to(weight.dtype)


@dataclass(frozen=True)
class Whole:
    """A weight that trained whole."""

    value: Tensor

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it is the trained weight's shape."""
        return shape == tuple(self.value.shape)

    def merged(self, weight: Tensor) -> Tensor:
        """The trained weight."""
        return self.value.to(weight.dtype)


@dataclass(frozen=True)
class Rows:
    """Some rows of an embedding or a head."""

    index: tuple[int, ...]
    values: Tensor

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it has all the rows."""
        return len(shape) == 2 and shape[1] == self.values.shape[1] and max(self.index) < shape[0]

    def merged(self, weight: Tensor) -> Tensor:
        """The weight with these rows; the others stay bit for bit."""
        return weight.index_copy(0, torch.tensor(self.index), self.values.to(weight.dtype))


def of(adapter: Path) -> dict[str, Update] | None:
    """Name of the base's weight -> its update; None if the adapter has something that is not supported here."""
    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    if any(config.get(key) for key in _OTHERS) or config.get("bias", "none") != "none":
        return None
    tensors = load_file(adapter / WEIGHTS)
    found: dict[str, Update] = {}
    for name, tensor in tensors.items():
        module = name.removeprefix(PREFIX)
        if name.endswith(A):
            found[f"{module.removesuffix(A)}.weight"] = _low_rank(name.removesuffix(A), tensors, config)
        elif name.endswith(ROWS):
            rows = _indices(config, module.removesuffix(ROWS))
            if rows is None:
                return None
            found[f"{module.removesuffix(ROWS)}.weight"] = Rows(rows, tensor)
        elif ".lora_" not in name:
            found[module] = Whole(tensor)
        elif not name.removesuffix(".weight").endswith((B.removesuffix(".weight"), _LENGTHS)):
            return None
    return found


def low_rank(found: dict[str, Update] | None) -> dict[str, LowRank]:
    """The updates if all of them are LoRA's two matrices and nothing more; else none."""
    plain = {name: x for name, x in (found or {}).items() if isinstance(x, LowRank) and x.lengths is None}
    return plain if len(plain) == len(found or {}) else {}


def _low_rank(name: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> LowRank:
    rank = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    lengths = tensors.get(name + _LENGTHS, tensors.get(f"{name}{_LENGTHS}.weight"))
    return LowRank(tensors[name + A], tensors[name + B], scale, lengths)


def _indices(config: Mapping[str, Any], module: str) -> tuple[int, ...] | None:
    """The rows of `module` that trained, by the configuration."""
    said = config.get("trainable_token_indices")
    if isinstance(said, list):
        return tuple(said)
    return next((tuple(rows) for name, rows in (said or {}).items() if module.endswith(name)), None)
