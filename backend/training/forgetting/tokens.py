"""Losses of single tokens, and how far predictions moved from the base model's; never with all logits at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from backend.training import token_rows
from backend.training.attention.rows import without_mask
from backend.training.batches import IGNORED, Batch
from backend.training.loss import chunk_rows, logit_scale
from backend.training.network import Network, decoder, logits_of
from backend.training.packed_rows import packed_hint


class Kept(NamedTuple):
    """What is known of the base model's predictions: its most likely next tokens of each target, and their logarithms.

    `ids` and `log_probabilities`: targets x kept tokens.
    """

    ids: Tensor
    log_probabilities: Tensor


class TokenFigures(NamedTuple):
    """One value for each target token, on the device."""

    loss: Tensor
    base_loss: Tensor
    kl: Tensor


@contextmanager
def adapters_off(network: Network) -> Iterator[None]:
    """Within the context, the network is its base model. Unlike peft's own switch, it leaves `requires_grad` alone."""
    layers: list[Any] = [module for module in network.modules() if hasattr(module, "_disable_adapters")]
    before = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer, was in zip(layers, before, strict=True):
            layer._disable_adapters = was


class Predictions:
    """The logits of a network's target positions, a few at a time."""

    def __init__(self, network: Network, *, can_chunk: bool) -> None:
        self._network, self._can_chunk = network, can_chunk

    def states(self, batch: Batch) -> Tensor:
        """The input of `logits`: hidden states of the target positions, or their logits if the head is not plain."""
        inputs: dict[str, Any] = {"input_ids": batch.input_ids, "position_ids": batch.position_ids, "use_cache": False}
        valid = _valid(batch)
        with packed_hint(batch.packed), without_mask(known=batch.starts is not None):
            if not self._can_chunk:
                logits = logits_of(self._network, batch.predict, **inputs, **batch.varlen())
                whole: Tensor = logits.flatten(0, 1)[valid]
                return whole
            hidden = decoder(self._network)(**inputs, **batch.varlen()).last_hidden_state
        return torch.take_along_dim(hidden, batch.predict[..., None], dim=1).flatten(0, 1)[valid]

    def slices(self, states: Tensor) -> Iterator[slice]:
        """Positions whose logits are held at the same time."""
        vocabulary = token_rows.plain(self._network.get_input_embeddings()).num_embeddings
        # half a chunk of the loss: two models' logits are held together
        size = chunk_rows(len(states), states.shape[1], vocabulary) // 2 if self._can_chunk else len(states)
        for start in range(0, len(states), max(1, size)):
            yield slice(start, start + size)

    def log_probabilities(self, states: Tensor) -> Tensor:
        """Log-probabilities of all tokens of the vocabulary at some positions: positions x vocabulary, float32."""
        if not self._can_chunk:
            return functional.log_softmax(states.float(), dim=1)
        config = self._network.config
        logits = self._network.get_output_embeddings()(states).float().mul_(logit_scale(config))
        cap = getattr(config, "final_logit_softcapping", None)
        return functional.log_softmax(cap * torch.tanh(logits / cap) if cap else logits, dim=1)


def against_adapters_off(predictions: Predictions, network: Network, batch: Batch) -> TokenFigures:
    """The network compared with itself without its adapters, over the whole vocabulary."""
    targets = _targets(batch)
    with adapters_off(network):
        base_states = predictions.states(batch)
    states = predictions.states(batch)
    found = []
    for part in predictions.slices(states):
        with adapters_off(network):
            base = predictions.log_probabilities(base_states[part])
        now = predictions.log_probabilities(states[part])
        losses = _loss(now, targets[part]), _loss(base, targets[part])
        difference = now.neg_().add_(base)  # in place: these are the largest tensors of the measurement
        found.append(TokenFigures(*losses, difference.mul_(base.exp_()).sum(dim=1)))
    return _joined(found)


def against_kept(predictions: Predictions, kept: Kept, base_loss: Tensor, batch: Batch) -> TokenFigures:
    """The network compared with what was kept of its base: all tokens that were not kept count as one."""
    targets, states = _targets(batch), predictions.states(batch)
    found = []
    for part in predictions.slices(states):
        now = predictions.log_probabilities(states[part])
        base = kept.log_probabilities[part]
        chosen = now.gather(1, kept.ids[part])
        kl = (base.exp() * (base - chosen)).sum(dim=1) + _of_the_rest(base, chosen)
        found.append(TokenFigures(_loss(now, targets[part]), base_loss[part], kl))
    return _joined(found)


def base_of(predictions: Predictions, batch: Batch, count: int) -> tuple[Tensor, Kept]:
    """The loss of each target token, and the `count` most likely tokens, of a network that is not trained yet."""
    targets, states = _targets(batch), predictions.states(batch)
    losses, ids, values = [], [], []
    for part in predictions.slices(states):
        now = predictions.log_probabilities(states[part])
        top = now.topk(min(count, now.shape[1]), dim=1)
        losses.append(_loss(now, targets[part]))
        ids.append(top.indices)
        values.append(top.values)
    return torch.cat(losses), Kept(torch.cat(ids), torch.cat(values))


def _of_the_rest(base: Tensor, chosen: Tensor) -> Tensor:
    """The share of the divergence that all other tokens have together."""
    least = 1e-12
    rest_base = (1 - base.exp().sum(dim=1)).clamp(min=least)
    rest_now = (1 - chosen.exp().sum(dim=1)).clamp(min=least)
    return rest_base * (rest_base.log() - rest_now.log())


def _targets(batch: Batch) -> Tensor:
    return batch.targets.flatten()[_valid(batch)]


def _valid(batch: Batch) -> Tensor:
    """Which of the batch's target positions are not padding."""
    return (batch.targets != IGNORED).flatten()


def _loss(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    return -log_probabilities.gather(1, targets.unsqueeze(1)).squeeze(1)


def _joined(found: list[TokenFigures]) -> TokenFigures:
    return TokenFigures(*(torch.cat(values) for values in zip(*found, strict=True)))
