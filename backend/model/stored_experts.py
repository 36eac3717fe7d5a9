"""The experts of a family that presets/families.toml lacks, as its files hold them: what a token passes through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from backend.model.config import text_part
from backend.model.family import Config
from backend.model.shape import OF_EXPERTS, Linear
from backend.model.targets import is_mixture

_COUNT = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k_experts", "experts_per_token")
_ONE = re.compile(r"(?P<block>.*)\.experts\.0\.(?P<name>[\w.]+)\.weight")
"""A matrix of the first expert, if each has its own."""
_NUMBER = re.compile(r"\.\d+\.")
_MATRICES = 3
"""Most experts are a gate, an up and a down projection."""

Tensors = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Experts:
    """Experts of all blocks that have some."""

    count: int = 0
    per_token: int = 0
    linears: tuple[Linear, ...] = ()
    """The matrices of one expert."""
    blocks: int = 0

    def width(self, hidden: int) -> int:
        """The inner width of those that a token passes."""
        return self.per_token * sum(x.weights for x in self.linears) // (_MATRICES * hidden)


def of(config: Config, tensors: Tensors, linears: tuple[Linear, ...]) -> Experts:
    """The experts in a model's files; `linears` are the layers that carry adapters. None for a dense model."""
    text = text_part(config)
    count = next((x for key in _COUNT if isinstance(x := text.get(key), int) and x > 1), 1)
    found = _apart(tensors) or _fused(tensors, count)
    is_one = is_mixture(tensors) or not any(x.name in OF_EXPERTS for x in linears)  # as the trainer sees it
    if not found or not is_one:
        return Experts(count if is_mixture(tensors) else 0)
    per_token = next((x for key in _PER_TOKEN if isinstance(x := text.get(key), int) and x > 0), 1)
    first = next(iter(found.values()))
    return Experts(count, min(count, per_token), tuple(first), len(found))


def _apart(tensors: Tensors) -> dict[str, list[Linear]]:
    """Block -> the matrices of its first expert, if each expert has tensors of its own."""
    found: dict[str, list[Linear]] = {}
    for name, sizes in tensors.items():
        match = _ONE.fullmatch(name)
        if match and len(sizes) == 2:
            found.setdefault(match["block"], []).append(Linear(match["name"], sizes[1], sizes[0]))
    return found


def _fused(tensors: Tensors, count: int) -> dict[str, list[Linear]]:
    """Block -> the matrices of one expert, if a tensor holds those of all."""
    found: dict[str, list[Linear]] = {}
    for name, sizes in tensors.items():
        block = _NUMBER.search(name)
        if block and len(sizes) == 3 and count > 1 and sizes[0] == count:
            last = name.removesuffix(".weight").rpartition(".")[2]
            found.setdefault(name[: block.end()], []).append(Linear(last, sizes[2], sizes[1]))
    return found
