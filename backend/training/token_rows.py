"""Rows of the embedding and the head that train for new tokens, without a copy of the whole matrix.

peft puts the rows into a copy of the matrix in every pass, and its gradient is as large: for a vocabulary of 128k three
times a GiB in an 8B model. Here the matrix stays as it is, and only the new tokens' embeddings and logits are replaced.
The results are the same.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Embedding, Module, functional


class TokenRows(NamedTuple):
    """Trained rows of a matrix."""

    ids: Tensor
    """Their numbers."""
    values: Tensor
    """One row each."""


def replace_forward(model: Module) -> None:
    """Let every layer of peft's that trains rows do it without a copy of its matrix."""
    from peft.tuners.trainable_tokens import TrainableTokensLayer

    for layer in model.modules():
        if isinstance(layer, TrainableTokensLayer):
            embeds = isinstance(layer.base_layer, Embedding)
            _remember(layer, layer.token_indices["default"])
            layer.forward = partial(_embedded if embeds else _logits, layer)


def _remember(layer: Any, numbers: list[int]) -> None:
    """Keep the rows' numbers, and each token's place among them, on the device: a step then copies nothing there."""
    weight = layer.base_layer.weight
    ids = torch.tensor(numbers, device=weight.device)
    places = torch.full((len(weight),), -1, device=weight.device)
    places[ids] = torch.arange(len(numbers), device=weight.device)
    layer.register_buffer("new_ids", ids, persistent=False)
    layer.register_buffer("new_places", places, persistent=False)


def of(head: Any) -> TokenRows | None:
    """The trained rows of a head that peft has wrapped; None if there are none, or if they are switched off."""
    layer = getattr(head, "token_adapter", None)
    return None if layer is None or layer.disable_adapters else _rows(layer)


def plain(layer: Any) -> Any:
    """An embedding or a head as it was before peft wrapped it."""
    return getattr(layer, "original_module", layer)


def _rows(layer: Any) -> TokenRows:
    return TokenRows(layer.new_ids, layer.trainable_tokens_delta["default"])


def _embedded(layer: Any, ids: Tensor) -> Tensor:
    result: Tensor = layer.base_layer(ids)
    if layer.disable_adapters:
        return result
    rows, place = _rows(layer), layer.new_places[ids]
    new = functional.embedding(place.clamp(min=0), rows.values).to(result.dtype)
    scale = layer._get_embed_scale()
    new = new if scale is None else new * scale.to(new.dtype)
    return torch.where((place >= 0).unsqueeze(-1), new, result)


def _logits(layer: Any, hidden: Tensor) -> Tensor:
    result: Tensor = layer.base_layer(hidden)
    if layer.disable_adapters:
        return result
    rows = _rows(layer)
    new = functional.linear(hidden, rows.values.to(hidden.dtype)).to(result.dtype)
    return result.index_copy_(-1, rows.ids, new)
