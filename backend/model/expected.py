"""Which tensors a model's files must hold, by config.json and presets/families.toml; what differs is refused.

transformers initialises missing tensors at random, and drops tensors that it has no place for. The trainer checks again
when the model is loaded (`training/load_check.py`), also for families that are not in the table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from backend.errors import UserError
from backend.model import headers, stored
from backend.model.config import Listed, is_multimodal, listed
from backend.model.family import Config
from backend.model.mismatch import refused, sizes, tensors
from backend.model.shape import ModelShape
from backend.model.targets import NOT_OF_TEXT

_OLD_BUFFER = re.compile(
    r"(^|\.)(inv_freq|attention\.bias|attn\.bias|attn\.attention\.bias|masked_bias|causal_mask|position_ids|"
    r"e_score_correction_bias|act_fn\.(beta|eps))$|(^|\.)mtp"
)
"""Tensors of older files and of the prediction of several tokens, which transformers leaves out too."""
_NEXT_TOKENS = ("num_nextn_predict_layers", "num_mtp_layers")
_BLOCK = re.compile(r"([^\d]*?)\.(\d+)\.")
"""The blocks that a tensor's name begins with, and the number of its own."""
Shapes = Mapping[str, tuple[int, ...]]


def refuse_others(folder: Path, config: Config, name: str) -> None:
    """Raise UserError (field `model`) if the files in `folder` don't hold the tensors that config.json describes.

    Families that are not in the table are not checked, and only the text part of a wrapper is.
    """
    about = listed(config)
    if about is None:
        return
    stored_shapes = {tensor: tuple(entry["shape"]) for tensor, entry in headers.tensors(folder).items()}
    found = _of_text(about, stored_shapes) if is_multimodal(config) else _with_prefix(about, stored_shapes)
    wanted = shapes(about)
    if about.tied and about.family.head in found and about.family.embedding not in found:
        wanted[about.family.head] = wanted.pop(about.family.embedding)  # transformers ties them all the same
    experts = _experts(about, found, wanted)
    _refuse_differences(found, wanted, {*experts, *_of_next_tokens(about, found), about.family.head}, name)
    _refuse_experts(about, experts, name)
    if about.tied and {about.family.head, about.family.embedding} <= set(stored_shapes):
        _refuse_another_head(about, folder, name)


def _refuse_differences(found: Shapes, wanted: Shapes, besides: set[str], name: str) -> None:
    """Refuse missing tensors, tensors of another shape, and unknown ones; those in `besides` may be there too."""
    missing = [tensor for tensor in wanted if tensor not in found]
    known = besides | set(wanted)
    others = [tensor for tensor in found if tensor not in known and not _OLD_BUFFER.search(tensor)]
    if missing:
        instead = f" ({tensors(others)} there instead, the first is {others[0]})" if others else ""
        said = f"{tensors(missing)} missing from the files, the first is {missing[0]}{instead}"
        raise refused("of", name, said)
    for tensor, shape in wanted.items():
        if found[tensor] != shape:
            said = f"{tensor} has the shape {sizes(found[tensor])} where config.json means {sizes(shape)}"
            raise refused("of", name, said)
    if others:
        said = f"{tensors(others)} in the files without a place in the model, the first is {others[0]}"
        raise refused("of", name, said)


def refuse_too_few(folder: Path, shape: ModelShape, name: str) -> None:
    """Raise UserError (field `model`) if the files of a family outside the table lack a block or the vocabulary.

    Which tensors its blocks have is not known here; the trainer checks when it loads the model.
    """
    found = headers.tensors(folder)
    stacks: dict[str, set[int]] = {}
    for tensor in found:
        if match := _BLOCK.match(tensor):
            stacks.setdefault(match[1], set()).add(int(match[2]))
    blocks = next(iter(stacks.values())) if len(stacks) == 1 else set()
    absent = sorted(set(range(shape.layers)) - blocks) if blocks else []
    if absent:
        text = f"config.json means {shape.layers} blocks, of which number {absent[0]} is not in the files"
        raise refused("of", name, text)
    if not any(entry["shape"][:1] == [shape.vocab] for entry in found.values()):
        said = f"no tensor has a row for each of the {shape.vocab:,} tokens that config.json means"
        raise refused("of", name, said)


def shapes(about: Listed) -> dict[str, tuple[int, ...]]:
    """Every tensor but those of experts, by its name in the files. A tied head is not among them."""
    family, sizes, config = about.family, about.sizes, about.config
    table = (sizes["vocab"], sizes["hidden"])
    wanted: dict[str, tuple[int, ...]] = {family.embedding: table}
    if not about.tied:
        wanted[family.head] = table
    for matrix in family.matrices(sizes, config):
        x = matrix.linear
        shape = (x.inputs, x.outputs) if family.transposed else (x.outputs, x.inputs)
        for at in matrix.of:
            wanted[f"{family.blocks}.{at}.{matrix.path}.weight"] = shape
            if x.bias:
                wanted[f"{family.blocks}.{at}.{matrix.path}.bias"] = (x.outputs,)
    for other in (*family.block_norms(sizes, config), *family.block_routers(sizes, config)):
        wanted |= {f"{family.blocks}.{at}.{other.name}": other.shape for at in other.of}
    return wanted | {other.name: other.shape for other in family.outside(sizes, config)}


def with_prefix(config: Config, found: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """`found` as a model that is not in a wrapper calls them, if its family is known."""
    about = listed(config)
    return found if about is None else _with_prefix(about, found)


def _with_prefix(about: Listed, found: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """`found` with the prefix that files saved without the head's wrapper lack; transformers adds it too."""
    prefix, _, rest = about.family.blocks.partition(".")
    starts = {name.partition(".")[0] for name in found}
    if prefix in starts or rest.partition(".")[0] not in starts:
        return found
    return {name if name == about.family.head else f"{prefix}.{name}": shape for name, shape in found.items()}


def _of_text(about: Listed, found: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The tensors of a wrapper's text part, as they are called without it."""
    prefix, _, embedding = about.family.embedding.partition(".")
    at = next((name for name in found if name.endswith(f".{embedding}") and not NOT_OF_TEXT.search(name)), "")
    own = at.removesuffix(embedding)
    text = {
        f"{prefix}.{name.removeprefix(own)}": shape for name, shape in found.items() if own and name.startswith(own)
    }
    kept = {name: shape for name, shape in text.items() if not NOT_OF_TEXT.search(name)}
    head = next((shape for name, shape in found.items() if name.endswith(about.family.head)), None)
    return kept | ({about.family.head: head} if head else {})


def _experts(about: Listed, found: Shapes, wanted: Shapes) -> dict[str, tuple[int, ...]]:
    """The tensors of experts: their names differ from file to file (a matrix for each expert, or one for all)."""
    family = about.family
    if not family.expert:
        return {}
    start, blocks = f"{family.blocks}.", {str(at) for at in family.expert_blocks(about.config)}
    kept = {}
    for tensor, shape in found.items():
        number, _, rest = tensor.removeprefix(start).partition(".")
        is_one = number in blocks and rest.startswith(f"{family.experts}.") and tensor not in wanted
        if is_one and not _OLD_BUFFER.search(tensor):
            kept[tensor] = shape
    return kept


def _of_next_tokens(about: Listed, found: Shapes) -> list[str]:
    """Tensors of blocks after the last that predict several tokens (DeepSeek, GLM): transformers leaves them out."""
    more = next((about.sizes[key] for key in _NEXT_TOKENS if about.sizes.get(key)), 0)
    blocks = [f"{about.family.blocks}.{about.sizes['layers'] + at}." for at in range(more)]
    return [tensor for tensor in found if tensor.startswith(tuple(blocks))]


def _refuse_experts(about: Listed, experts: Shapes, name: str) -> None:
    """Refuse experts that don't have as many elements together as config.json says, whatever their names."""
    family, sizes, config = about.family, about.sizes, about.config
    one = sum(x.weights + x.bias * x.outputs for x in family.expert_linears(sizes, config))
    count = len(family.expert_blocks(config)) * sizes["experts"] * one
    stored_count = sum(math.prod(shape) for shape in experts.values())
    if stored_count != count:
        said = f"its experts hold {stored_count:,} parameters in the files, and {count:,} by config.json"
        raise refused("of", name, said)


def _refuse_another_head(about: Listed, folder: Path, name: str) -> None:
    """Refuse a second matrix if config.json ties embedding and head: libraries disagree about which one counts."""
    head, embedding = about.family.head, about.family.embedding
    if stored.differ(folder, head, embedding):
        raise UserError(
            f"the files of {name} hold a head of their own ({head} is not {embedding}), but its config.json says that "
            "they are tied; set tie_word_embeddings to false in config.json",
            "model",
        )
