"""Which modules of a model can carry an adapter, by name: what `target_modules` may list."""

from __future__ import annotations

import difflib
import re

from backend.errors import UserError
from backend.model import headers
from backend.model.family import families
from backend.model.info import ModelInfo
from backend.model.shape import HEAD

ALL_LINEAR = "all-linear"
_IN_A_BLOCK = re.compile(r"\.\d+\.(?:.*\.)?([A-Za-z_]\w*)\.weight$")
"""The module's name of a weight inside a numbered block, such as `model.layers.0.self_attn.q_proj.weight`."""


def refuse_unknown(model: ModelInfo, target_modules: str) -> None:
    """Raise UserError (field `target_modules`) if a listed name is no linear layer inside the model's blocks."""
    known = names(model)
    for name in (part.strip() for part in target_modules.split(",")):
        if known and name not in known and name not in (ALL_LINEAR, HEAD):
            near = difflib.get_close_matches(name.lower(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known))}"
            raise UserError(
                f"target_modules: {name!r} is no linear layer in the blocks of {model.shape.name}; {hint}",
                "target_modules",
            )


def names(model: ModelInfo) -> frozenset[str]:
    """Names of the linear layers in the blocks: of the weight files if they are here, else of the family's table.

    Empty for a family that nobody listed whose files are not here.
    """
    if model.folder is not None and model.has_weights and model.kind != "demo":
        return frozenset(_stored(model))
    return frozenset(x.name for x in model.shape.linears) if model.shape.family in families() else frozenset()


def _stored(model: ModelInfo) -> set[str]:
    assert model.folder is not None
    found = set()
    for path in headers.weight_files(model.folder):
        for tensor, entry in headers.header(path).items():
            block = _IN_A_BLOCK.search(tensor)
            if block and len(entry.get("shape", ())) == 2:
                found.add(block[1])
    return found
