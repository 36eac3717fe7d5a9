"""Modules that can train in full besides an adapter, by name: what `modules_to_save` may list."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Mapping

from backend.errors import UserError
from backend.model.shape import HEAD, HEADS, ModelShape, is_embedding
from backend.model.targets import NOT_OF_TEXT

EMBEDDING, NORM = "embed_tokens", "norm"


def of_tensors(tensors: Mapping[str, tuple[int, ...]], shape: ModelShape) -> tuple[tuple[str, int], ...]:
    """(last name, parameters) of the embedding, the head and the norms, those of all blocks together.

    `tensors` are those of the model's files, under the names that the model has for them.
    """
    sizes: dict[str, list[tuple[int, ...]]] = {}
    for tensor, one in tensors.items():
        module, _, last = tensor.rpartition(".")
        if last in ("weight", "bias") and module and not NOT_OF_TEXT.search(module):
            sizes.setdefault(module, []).append(one)
    found: Counter[str] = Counter()
    for module, shapes in sizes.items():
        if (shape.vocab, shape.hidden) in shapes or all(len(one) == 1 for one in shapes):
            found[module.rpartition(".")[2]] += sum(math.prod(one) for one in shapes)
    if shape.tied and (head := found.pop(HEAD, 0)) and not has_embedding(",".join(found)):
        found[EMBEDDING] = head  # one matrix, stored under the other name
    return tuple(sorted(found.items()))


def known(shape: ModelShape) -> dict[str, int]:
    """Last name -> parameters: as stored in the files, else those that nearly every model has."""
    wide = shape.vocab * shape.hidden
    usual = {EMBEDDING: wide, HEAD: wide, NORM: shape.hidden}
    return ({HEAD: wide} | dict(shape.whole_modules)) if shape.whole_modules else usual


def listed(modules_to_save: str) -> list[str]:
    """The names in the plan field."""
    return [name for name in modules_to_save.split(",") if name]


def parameters(shape: ModelShape, modules_to_save: str) -> int:
    """Parameters of the listed modules; an embedding that the head shares is one matrix."""
    sizes = known(shape)
    return sum(sizes.get(name, 0) for name in listed(modules_to_save) if not (shape.tied and name in HEADS))


def has_embedding(modules_to_save: str) -> bool:
    """Whether the input embedding is listed."""
    return any(map(is_embedding, listed(modules_to_save)))


def has_vocabulary(modules_to_save: str) -> bool:
    """Whether a matrix with a row for each token is listed."""
    return has_embedding(modules_to_save) or any(name in HEADS for name in listed(modules_to_save))


def has_head(shape: ModelShape, modules_to_save: str) -> bool:
    """Whether the output head trains: it is listed, or shares the matrix of an embedding that is."""
    is_listed = any(name in HEADS for name in listed(modules_to_save))
    return has_embedding(modules_to_save) if shape.tied else is_listed


def refuse_unknown(shape: ModelShape, modules_to_save: str, target_modules: str = "") -> None:
    """Raise UserError (field `modules_to_save`) for a name that this model lacks, or a head without its embedding."""
    sizes = known(shape)
    for name in listed(modules_to_save):
        if name not in sizes:
            near = difflib.get_close_matches(name.lower(), sizes, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(sorted(sizes))}"
            raise _refused(f"{name!r} is no embedding, head or norm of {shape.name}; {hint}")
        if name in target_modules.split(","):
            raise _refused(f"{name} is in target_modules too, and trains either whole or by an adapter; list it once")
        if shape.tied and name in HEADS and not has_embedding(modules_to_save):
            raise _refused(
                f"{name} shares its matrix with the embedding in {shape.name}; list that, and both train as one"
            )


def _refused(text: str) -> UserError:
    return UserError(f"modules_to_save: {text}", "modules_to_save")
