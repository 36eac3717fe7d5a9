"""The wording of errors for weight files that do not belong to their config.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backend.errors import UserError


def refused(preposition: str, model: object, text: str) -> UserError:
    """The error (field `model`) of the weights `of` a name or `in` a folder, and what is wrong with them."""
    return UserError(
        f"the weights {preposition} {model} do not belong to its config.json: {text}; download the model again, or "
        "give the config.json that was saved with these weights",
        "model",
    )


def tensors(names: Sequence[str]) -> str:
    """How many, with the verb."""
    return "1 tensor is" if len(names) == 1 else f"{len(names):,} tensors are"


def sizes(shape: Iterable[int]) -> str:
    """As in 64x128."""
    return "x".join(str(size) for size in shape)
