"""A model's shape corrected by what its files hold: exact counts for families that presets/families.toml lacks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path

from backend.model import architectures, as_loaded, headers, stored_experts
from backend.model.config import is_exact, is_multimodal
from backend.model.family import Config
from backend.model.shape import Linear, ModelShape
from backend.model.stored import TRAINABLE
from backend.model.targets import NOT_OF_TEXT, is_mixture, takes_adapter

_OLD_BUFFER = ("inv_freq", "masked_bias", "position_ids", ".act_fn.beta", ".act_fn.eps", ".gate.expert_bias")
"""Tensors of older files, of activation functions and of routers (Ling), which are no parameters."""
_HEAD = ("lm_head.weight", "embed_out.weight")
_EMBEDDING = "embed_tokens.weight"


def fitted(shape: ModelShape, config: Config, folder: Path) -> ModelShape:
    """`shape` with the count of the weights in `folder`; for a family that is not in the table, their layers too.

    Unchanged for a listed model of text: its config.json says all, and weights that differ are reported.
    """
    exact = is_exact(config)
    if exact and not is_multimodal(config):
        return shape
    kept = architectures.kept(as_loaded.model_types(config))
    tensors = dict(_tensors(folder, config, kept.buffers))
    if not exact:
        shape = _as_stored(shape, config, tensors)
    fixed = (name for name in tensors if NOT_OF_TEXT.search(name) or name.rpartition(".")[2] in kept.frozen)
    frozen = sum(math.prod(tensors[name]) for name in fixed)
    return replace(counted(shape, _parameters(tensors, shape)), frozen_parameters=frozen)


def _as_stored(shape: ModelShape, config: Config, tensors: dict[str, tuple[int, ...]]) -> ModelShape:
    linears = _linears(tensors, shape.layers)
    experts = stored_experts.of(config, tensors, linears)
    return replace(
        shape,
        linears=linears,
        tied=_is_tied(tensors, shape),
        intermediate=experts.width(shape.hidden) or shape.intermediate,
        experts=experts.count,
        experts_per_token=experts.per_token,
        expert_linears=experts.linears,
        expert_blocks=experts.blocks if experts.linears else None,
        router_parameters=0,
    )


def counted(shape: ModelShape, stored: int | None) -> ModelShape:
    """`shape` with as many parameters as are stored: the rest is `other_parameters`."""
    known = shape.parameters - shape.other_parameters
    return shape if stored is None else replace(shape, other_parameters=stored - known)


def _tensors(folder: Path, config: Config, buffers: Set[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The weights, as they are loaded."""
    found = headers.tensors(folder).items()
    weights = {name: tuple(entry["shape"]) for name, entry in found if entry["dtype"] in TRAINABLE}
    for name, sizes in as_loaded.convert(weights, config).items():
        is_buffer = name.endswith(_OLD_BUFFER) or name.rpartition(".")[2] in buffers
        if not is_buffer and not name.startswith("mtp."):
            yield name, sizes


def _parameters(tensors: dict[str, tuple[int, ...]], shape: ModelShape) -> int:
    """All that is stored; a tied head, which some files hold a second time, once."""
    twice = shape.tied and any(name.endswith(_HEAD) for name in tensors)
    return sum(math.prod(sizes) for sizes in tensors.values()) - twice * shape.embedding_parameters


def _is_tied(tensors: dict[str, tuple[int, ...]], shape: ModelShape) -> bool:
    """Whether only one matrix of the vocabulary is stored outside of the vision part.

    An embedding may have more rows than the vocabulary has tokens (Llama 3.2 Vision: one for an image).
    """
    wide = (shape.vocab, shape.hidden)
    found = (
        name
        for name, sizes in tensors.items()
        if sizes == wide or (name.endswith(_EMBEDDING) and sizes[1:] == wide[1:] and sizes[0] >= shape.vocab)
    )
    return sum(not NOT_OF_TEXT.search(name) for name in found) < 2


def _linears(tensors: dict[str, tuple[int, ...]], layers: int) -> tuple[Linear, ...]:
    """The layers that can carry an adapter, each with the number of blocks that have it.

    If a layer is stored as inputs x outputs (GPT-2), the two are exchanged here, which changes no sum.
    """
    found: Counter[Linear] = Counter()
    mixture = is_mixture(tensors)
    for name, sizes in tensors.items():
        module, _, last = name.rpartition(".")
        if last == "weight" and len(sizes) == 2 and takes_adapter(module, mixture=mixture):
            bias = f"{module}.bias" in tensors
            found[Linear(module.rpartition(".")[2], inputs=sizes[1], outputs=sizes[0], bias=bias)] += 1
    return tuple(replace(x, blocks=None if count == layers else count) for x, count in found.items())
