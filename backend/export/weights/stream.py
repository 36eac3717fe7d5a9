"""Merge tensor by tensor: the base's files are copied, and what has an adapter is overwritten in place.

Memory is a few times the largest matrix, whatever the model's size. Each merged matrix is W + scale * B @ A, summed in
float32 and rounded once to the type of W.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from backend.model import headers

_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
FLOATS = ("F32", "BF16", "F16")


@dataclass(frozen=True)
class Update:
    """What an adapter adds to one matrix."""

    a: Tensor
    """rank x inputs."""
    b: Tensor
    """outputs x rank."""
    scale: float
    """alpha / rank."""

    def added_to(self, weight: Tensor) -> Tensor:
        """The merged matrix, in the type of `weight`."""
        delta = self.b.float() @ self.a.float()
        return (weight.float() + self.scale * delta).to(weight.dtype)


def updates(adapter: Path) -> dict[str, Update] | None:
    """Name of the base's weight -> what is added to it; None if the adapter is not of plain matrices."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    others = ("fan_in_fan_out", "use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save")
    if any(config.get(key) for key in others):
        return None
    tensors = load_file(adapter / "adapter_model.safetensors")
    if any(x.ndim != 2 or not name.endswith((_A, _B)) for name, x in tensors.items()):
        return None
    names = [name.removesuffix(_A) for name in tensors if name.endswith(_A)]
    scale = config["lora_alpha"] / config["r"]
    return {
        f"{name.removeprefix(_PREFIX)}.weight": Update(tensors[name + _A], tensors[name + _B], scale) for name in names
    }


def fits(base: Path, found: Mapping[str, Update]) -> bool:
    """Each update has its matrix in the base's files, under its name and of its shape."""
    shapes = {
        name: tuple(entry["shape"])
        for path in headers.weight_files(base)
        for name, entry in headers.header(path).items()
        if entry["dtype"] in FLOATS
    }
    return all(shapes.get(name) == (x.b.shape[0], x.a.shape[1]) for name, x in found.items())


def merge(base: Path, found: Mapping[str, Update], target: Path) -> None:
    """Write the merged weights into `target`: the files of the base, and their index if there are several.

    Raises OSError if the disk is full.
    """
    for path in headers.weight_files(base):
        shutil.copyfile(path, target / path.name)
        _overwrite(path, found, target / path.name)
    if not (base / headers.SINGLE).is_file():
        shutil.copyfile(base / headers.INDEX, target / headers.INDEX)


def _overwrite(source: Path, found: Mapping[str, Update], target: Path) -> None:
    entries = headers.header(source)
    with source.open("rb") as file:
        start = 8 + int(struct.unpack("<Q", file.read(8))[0])
    with safe_open(source, framework="pt") as tensors, target.open("r+b") as out:
        for name in entries:
            if name in found:
                merged = found[name].added_to(tensors.get_tensor(name))
                out.seek(start + entries[name]["data_offsets"][0])
                out.write(merged.contiguous().view(torch.uint8).numpy().data)
