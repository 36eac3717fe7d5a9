"""What the trainer uses of a causal language model of transformers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Weights(Protocol):
    """Parameters and buffers, as any `nn.Module` has them."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Tied ones once."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Tied ones once, by their first name."""

    def buffers(self) -> Iterator[Tensor]:
        """Tensors that are not trained."""


class Network(Weights, Protocol):
    """A causal language model, adapters in place if the method has any.

    Configurations and outputs stay `Any`: their attributes differ from family to family.
    """

    config: Any
    generation_config: Any
    base_model: Any
    training: bool

    def __call__(self, **inputs: Any) -> Any:
        """A forward pass; the result has `logits`."""

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Every module with its full name."""

    def get_decoder(self) -> Any:
        """The blocks without the head; a call's result has `last_hidden_state`."""

    def get_input_embeddings(self) -> Any:
        """The embedding layer."""

    def get_output_embeddings(self) -> Any:
        """The head: a linear layer in most families."""

    def generate(self, **inputs: Any) -> Tensor:
        """Token ids of the prompt and of the answer."""

    def activation_checkpointing_enable(
        self, *, activation_checkpointing_kwargs: dict[str, Any], offload: bool
    ) -> None:
        """Recompute activations in the backward pass, from what is kept on the device or in host memory."""

    def activation_checkpointing_disable(self) -> None:
        """Keep activations."""

    def set_attn_implementation(self, name: str) -> None:
        """Compute attention by another implementation from now on."""

    def modules(self) -> Iterator[nn.Module]:
        """All layers, itself included."""

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on."""

    def eval(self) -> Any:
        """Switch dropout off."""


def logits_of(network: Network, positions: Tensor, **inputs: Any) -> Tensor:
    """Logits of these positions of each sequence, by a model that can leave out the others or not (xLSTM)."""
    found: Tensor = network(**inputs, logits_to_keep=positions).logits
    is_kept = found.shape[1] != inputs["input_ids"].shape[1] or _takes_positions(type(network))
    return found if is_kept else torch.take_along_dim(found, positions[..., None], dim=1)


@cache
def _takes_positions(kind: Any) -> bool:
    return not hasattr(kind, "forward") or "logits_to_keep" in inspect.signature(kind.forward).parameters


def decoder(network: Network) -> Any:
    """The blocks without the head; a call's result has `last_hidden_state`.

    Transformers' own look-up takes whatever is called `decoder` for it, which is the head in ModernBERT's decoder.
    """
    found = network.get_decoder()
    return network.base_model if found is network.get_output_embeddings() else found
