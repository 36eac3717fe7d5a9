"""A model's shape corrected by what its files hold: exact counts for families that presets/families.toml lacks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from backend.model import headers, stored_experts
from backend.model.config import is_exact, is_multimodal
from backend.model.family import Config
from backend.model.shape import Linear, ModelShape
from backend.model.stored import TRAINABLE
from backend.model.targets import NOT_OF_TEXT, is_mixture, takes_adapter

_BUFFER = (
    *(
        "inv_freq",
        "masked_bias",
        "position_ids",
        "e_score_correction_bias",
        "feed_forward.expert_bias",
        "balancing_biases",
    ),
    *(
        "tid2eid",
        "ffn.gate.bias",
        ".act_fn.beta",
        ".act_fn.eps",
        "layer_scalar",
        "slope_rate",
        "query_decay",
        "key_decay",
        "diagonal_decay",
    ),
)
"""Tensors that are stored and that are no parameters."""
_HEAD = ("lm_head.weight", "embed_out.weight")


def fitted(shape: ModelShape, config: Config, folder: Path) -> ModelShape:
    """`shape` with the count of the weights in `folder`; of a family that is not in the table, with their layers too.

    Unchanged for a listed model of text: its config.json says all, and weights that differ are reported.
    """
    exact = is_exact(config)
    if exact and not is_multimodal(config):
        return shape
    tensors = dict(_tensors(folder))
    if not exact:
        shape = _as_stored(shape, config, tensors)
    frozen = sum(math.prod(sizes) for name, sizes in tensors.items() if NOT_OF_TEXT.search(name))
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


def _tensors(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, entry in headers.tensors(folder).items():
        is_used = not name.endswith(_BUFFER) and not name.startswith("mtp.")
        if is_used and entry["dtype"] in TRAINABLE:
            yield name, tuple(entry["shape"])


def _parameters(tensors: dict[str, tuple[int, ...]], shape: ModelShape) -> int:
    """All that is stored; a tied head, which some files hold a second time, once."""
    twice = shape.tied and any(name.endswith(_HEAD) for name in tensors)
    return sum(math.prod(sizes) for sizes in tensors.values()) - twice * shape.embedding_parameters


def _is_tied(tensors: dict[str, tuple[int, ...]], shape: ModelShape) -> bool:
    """Whether only one matrix of the vocabulary's size is stored outside of the vision part."""
    wide = (shape.vocab, shape.hidden)
    return sum(sizes == wide and not NOT_OF_TEXT.search(name) for name, sizes in tensors.items()) < 2


def _linears(tensors: dict[str, tuple[int, ...]], layers: int) -> tuple[Linear, ...]:
    """The layers that can carry an adapter, each with the number of blocks that have it.

    Of a layer that is stored as inputs x outputs (GPT-2), inputs and outputs are exchanged; no sum differs.
    """
    found: Counter[Linear] = Counter()
    mixture = is_mixture(tensors)
    for name, sizes in tensors.items():
        module, _, last = name.rpartition(".")
        if last == "weight" and len(sizes) == 2 and takes_adapter(module, mixture=mixture):
            bias = f"{module}.bias" in tensors
            found[Linear(module.rpartition(".")[2], inputs=sizes[1], outputs=sizes[0], bias=bias)] += 1
    return tuple(replace(x, blocks=None if count == layers else count) for x, count in found.items())
