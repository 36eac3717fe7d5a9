"""Which modules of a model can carry an adapter, by name: what `target_modules` may list."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from backend.errors import UserError
from backend.model.family import families
from backend.model.info import ModelInfo
from backend.model.shape import HEAD, OF_EXPERTS

ALL_LINEAR = "all-linear"
_IN_A_BLOCK = re.compile(r"(^|\.)\d+\.")
_NO_ADAPTER = re.compile(
    r"(^|\.)(experts|router|gate)(\.|$)|(norm|embed)[^.]*$|(^|\.)(mamba|mixer|mamba_decoder)\..*(x|dt|out)_proj$"
)
"""Experts and their routers; embeddings; what the kernels of state space layers take as a bare matrix, past an adapter
(peft refuses it too)."""
NOT_OF_TEXT = re.compile(r"(^|\.)[^.]*(vision|visual|audio|image|projector|connector|speech|mtp)[^.]*(\.|$)")
"""Parts of a wrapper, and of the prediction of several tokens, which transformers leaves out."""


def is_mixture(names: Iterable[str]) -> bool:
    """Whether some of these tensors, or parameters, are experts."""
    return any(".experts." in name for name in names)


def takes_adapter(module: str, *, mixture: bool) -> bool:
    """Whether `all-linear` includes the linear layer of this full name: in a block, and called as a module."""
    if mixture and module.rpartition(".")[2] in OF_EXPERTS:
        return False
    return bool(_IN_A_BLOCK.search(module)) and not _NO_ADAPTER.search(module) and not NOT_OF_TEXT.search(module)


def refuse_unknown(model: ModelInfo, target_modules: str) -> None:
    """Raise UserError (field `target_modules`) if a listed name is no linear layer inside the model's blocks."""
    known = names(model)
    for name in (part.strip() for part in target_modules.split(",")):
        if known and name not in known and name not in (ALL_LINEAR, HEAD):
            near = difflib.get_close_matches(name.lower(), (*known, ALL_LINEAR), n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known))}"
            raise UserError(
                f"target_modules: {name!r} is no linear layer in the blocks of {model.shape.name}; {hint}",
                "target_modules",
            )


def names(model: ModelInfo) -> frozenset[str]:
    """Names of the linear layers in the blocks, from the family's table or from the weight files.

    Empty for a family that nobody listed whose files are not here.
    """
    if model.shape.family not in families() and not model.has_weights:
        return frozenset()
    return frozenset(x.name for x in model.shape.lora_targets(ALL_LINEAR))
