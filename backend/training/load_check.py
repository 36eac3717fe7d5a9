"""Checks after a load: a model is not trained if any of its weights did not come from its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import UserError
from backend.model.mismatch import refused, sizes, tensors
from backend.training.network import Network


def refuse_incomplete(folder: Path, report: Mapping[str, Any]) -> None:
    """Raise UserError (field `model`) if tensors are missing, unexpected or of another shape.

    `report` is what `from_pretrained(..., output_loading_info=True)` returns besides the model: transformers only
    logs it, and initialises missing tensors at random. Tied tensors and those that a family ignores are not in it.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    shapes = sorted(report["mismatched_keys"])
    if missing:
        text = f"{tensors(missing)} missing from the files, the first is {missing[0]}"
        if unexpected:
            text += f" ({tensors(unexpected)} there instead, the first is {unexpected[0]})"
        raise refused("in", folder, text)
    if shapes:
        name, stored, wanted = shapes[0]
        text = f"{name} has the shape {sizes(stored)} where config.json means {sizes(wanted)}"
        raise refused("in", folder, text)
    if unexpected:
        text = f"{tensors(unexpected)} in the files without a place in the model, the first is {unexpected[0]}"
        raise refused("in", folder, text)


def refuse_unusable(folder: Path, network: Network) -> None:
    """Raise UserError (field `model`) for weights that can't be trained: NaN or infinite, or an embedding of zeros.

    Also if config.json ties head and embedding and the files hold two matrices, which transformers then loads untied.
    """
    for name, parameter in network.named_parameters():
        if parameter.is_floating_point() and not all(bool(x.isfinite()) for x in parameter.detach().aminmax()):
            raise UserError(
                f"{name} in {folder} holds values that are no numbers (NaN or infinite); download the model again",
                "model",
            )
    embedding, head = network.get_input_embeddings().weight, network.get_output_embeddings()
    if not bool(embedding.any()):
        raise UserError(f"the embedding in {folder} holds nothing but zeros; download the model again", "model")
    ties = getattr(network.config, "tie_word_embeddings", False) and getattr(network, "_tied_weights_keys", None)
    if ties and head is not None and head.weight is not embedding:
        raise UserError(
            f"the files in {folder} hold a head that is not the embedding, but config.json says that they are tied; "
            "set tie_word_embeddings to false in config.json",
            "model",
        )
