"""What transformers reports of a load: a model whose weights are not all its own is not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.errors import UserError


def refuse_incomplete(folder: Path, report: Mapping[str, Any]) -> None:
    """Raise UserError (field `model`) if tensors are missing, unexpected or of another shape.

    `report` is what `from_pretrained(..., output_loading_info=True)` returns beside the model: transformers only logs
    it, and trains what the files lack as random numbers. Tied tensors and those that a family ignores are not in it.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    shapes = sorted(report["mismatched_keys"])
    if missing:
        text = f"{_tensors(missing)} missing from the files, the first is {missing[0]}"
        if unexpected:
            text += f" ({_tensors(unexpected)} there instead, the first is {unexpected[0]})"
        raise _refused(folder, text)
    if shapes:
        name, stored, wanted = shapes[0]
        raise _refused(folder, f"{name} has the shape {_shape(stored)} where config.json means {_shape(wanted)}")
    if unexpected:
        text = f"{_tensors(unexpected)} in the files without a place in the model, the first is {unexpected[0]}"
        raise _refused(folder, text)


def _refused(folder: Path, text: str) -> UserError:
    return UserError(
        f"the weights in {folder} do not belong to its config.json: {text}; download the model again, or give the "
        "config.json that was saved with these weights",
        "model",
    )


def _tensors(names: Sequence[str]) -> str:
    return "1 tensor is" if len(names) == 1 else f"{len(names):,} tensors are"


def _shape(sizes: Any) -> str:
    return "x".join(str(size) for size in sizes)
