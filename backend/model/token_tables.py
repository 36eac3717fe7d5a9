"""Which weights of a model have a row for each token, and grow with new tokens."""

from __future__ import annotations

from pathlib import Path

from backend.errors import UserError
from backend.model import headers
from backend.model.targets import NOT_OF_TEXT


def names(folder: Path, vocabulary: int) -> set[str]:
    """The embedding, the head if it has a matrix of its own, and the head's bias.

    Raises UserError (field `add_tokens`) if there are none, or others besides them, whose use is not known here.
    """
    shapes = {
        name: tuple(entry["shape"])
        for path in headers.weight_files(folder)
        for name, entry in headers.header(path).items()
        if tuple(entry["shape"][:1]) == (vocabulary,) and not NOT_OF_TEXT.search(name)
    }
    widths = {sizes[1:] for sizes in shapes.values() if len(sizes) > 1}
    odd = sorted(name for name in shapes if any(part.isdigit() for part in name.split(".")))
    odd += sorted(name for name in shapes if len(widths) > 1 and "per_layer" in name)
    if odd or len(widths) != 1 or len(shapes) > 3:
        which = f"{odd[0]} has one too" if odd else "which ones they are is not known"
        raise UserError(
            f"add_tokens: {folder.name} has other weights with a row for each token than an embedding and a head "
            f"({which}); leave add_tokens out, or use tokens that it has",
            "add_tokens",
        )
    return set(shapes)
