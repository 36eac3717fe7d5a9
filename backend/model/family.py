"""Model families (presets/families.toml): what a block is made of, written down per architecture, evaluated here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from backend import paths, typed
from backend.model import kinds
from backend.model.shape import HEAD, Linear

_CONDITION = r"(?: (?:if|unless) \w+(?:=\w+)?)"
_LINEAR = re.compile(
    r"(?P<path>[\w.]+): (?P<inputs>\S+) -> (?P<outputs>\S+)(?: \+ (?P<bias>[\w.]+))?"
    rf"(?P<conditions>{_CONDITION}*)(?: @ (?P<kind>\w+))?"
)
_TENSOR = re.compile(rf"(?P<name>[\w.*#]+): (?P<dimensions>\S+)(?P<conditions>{_CONDITION}*)(?: @ (?P<kind>\w+))?")

_NORM = re.compile(r"norm|(^|\.)ln_")
Sizes = Mapping[str, int]
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Matrix:
    """A linear layer and its blocks: `linear.blocks` says in how many blocks, `of` in which."""

    path: str
    """Its name within a block, such as `self_attn.q_proj`."""
    linear: Linear
    of: tuple[int, ...]


@dataclass(frozen=True)
class Other:
    """Any other tensor, by its name within a block, or its full name if it is in none."""

    name: str
    shape: tuple[int, ...]
    of: tuple[int, ...] = ()

    @property
    def elements(self) -> int:
        """Its elements in all blocks together."""
        return math.prod(self.shape) * len(self.of)

    @property
    def is_norm(self) -> bool:
        """Whether it is a norm or another vector: not a table of positions, a convolution or the head's bias."""
        return bool(_NORM.search(self.name)) or (len(self.shape) == 1 and not self.name.startswith(HEAD))


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of presets/families.toml; its header says what each key means."""

    linears: tuple[str, ...] = ()
    norms: tuple[str, ...] = ("input_layernorm.weight: hidden", "post_attention_layernorm.weight: hidden")
    final: tuple[str, ...] = ("model.norm.weight: hidden",)
    expert: tuple[str, ...] = ()
    router: tuple[str, ...] = ()
    blocks: str = "model.layers"
    embedding: str = "model.embed_tokens.weight"
    head: str = "lm_head.weight"
    experts: str = "mlp.experts"
    transposed: bool = False
    only: str = ""
    kinds: tuple[str, ...] = ()
    sizes: dict[str, str] = {}
    attention: tuple[str, ...] = ()
    keys: dict[str, tuple[str, ...]] = {}
    defaults: dict[str, Any] = {}

    def matrices(self, sizes: Sizes, config: Config) -> tuple[Matrix, ...]:
        """The linear layers of the blocks, of all kinds of block; those that no block has are left out."""
        of = kinds.of_blocks(self.kinds, config)
        texts = self.linears or families()["llama"].linears
        return tuple(found for text in texts if (found := _matrix(text, sizes, config, of)).of)

    def expert_linears(self, sizes: Sizes, config: Config) -> tuple[Linear, ...]:
        """The linear layers of one expert; none for a dense family."""
        return tuple(_linear(_parsed(_LINEAR, text), sizes, config) for text in self.expert)

    def expert_blocks(self, config: Config) -> tuple[int, ...]:
        """The blocks that have experts: those of the kind `sparse`, or all."""
        return _those(kinds.of_blocks(self.kinds, config), kinds.SPARSE if self.is_uneven else None)

    def block_norms(self, sizes: Sizes, config: Config) -> tuple[Other, ...]:
        """Norms and other vectors of the blocks."""
        return tuple(self._others(self.norms, sizes, config))

    def block_routers(self, sizes: Sizes, config: Config) -> tuple[Other, ...]:
        """What chooses the experts."""
        return tuple(self._others(self.router, sizes, config))

    def outside(self, sizes: Sizes, config: Config) -> tuple[Other, ...]:
        """What is in no block, but for embedding and head."""
        return tuple(x for text in self.final for x in _others(text, sizes, config, ((),)))

    def _others(self, texts: Sequence[str], sizes: Sizes, config: Config) -> Iterator[Other]:
        of = kinds.of_blocks(self.kinds, config)
        for text in texts:
            yield from _others(text, sizes, config, of)

    @property
    def is_uneven(self) -> bool:
        """Whether some blocks have experts and others are dense."""
        return any(
            kinds.SPARSE in rule or rule in ("step", "ernie") or "mlp_layer_types" in rule for rule in self.kinds
        )


@cache
def families() -> dict[str, Family]:
    """Every known family by its `model_type`."""
    return typed.from_toml((paths.SHIPPED / "families.toml").read_bytes(), dict[str, Family])


def of(text: Config) -> Family | None:
    """The family of a text configuration; None if it is not in the table, or of a form that its table leaves out."""
    family = families().get(str(text.get("model_type", "")))
    if family is None or text.get(family.only.partition("=")[0]) is None:
        return family
    return family if _is(family.only, family.defaults | dict(text)) else None


def _parsed(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.fullmatch(text)
    assert match, f"presets/families.toml: {text!r} can't be read"
    return match


def _those(of: Sequence[Sequence[str]], kind: str | None) -> tuple[int, ...]:
    return tuple(at for at, its in enumerate(of) if kind is None or kind in its)


def _holds(match: re.Match[str], config: Config) -> bool:
    """Whether config.json says what a line asks for with `if KEY`, `if KEY=VALUE`, `unless KEY`, or several of them."""
    words = match["conditions"].split()
    return all(_is(key, config) == (word == "if") for word, key in zip(words[::2], words[1::2], strict=True))


def _is(key: str, config: Config) -> bool:
    """Whether a key is true, or has the value that `KEY=VALUE` names, which may be another key's."""
    name, _, value = key.partition("=")
    return str(config.get(name)) == str(config.get(value, value)) if value else bool(config.get(name))


def _linear(match: re.Match[str], sizes: Sizes, config: Config, blocks: int | None = None) -> Linear:
    said = match["bias"]
    bias = said == "bias" or bool(said and config.get(said.removeprefix("config.")))
    name = match["path"].rpartition(".")[2]
    return Linear(name, sizes_of(match["inputs"], sizes)[0], sizes_of(match["outputs"], sizes)[0], bias, blocks)


def _matrix(text: str, sizes: Sizes, config: Config, of: Sequence[Sequence[str]]) -> Matrix:
    match = _parsed(_LINEAR, text)
    those = _those(of, match["kind"]) if _holds(match, config) else ()
    if not those:
        return Matrix(match["path"], Linear(match["path"], 0, 0), ())
    blocks = None if len(those) == len(of) else len(those)
    return Matrix(match["path"], _linear(match, sizes, config, blocks), those)


def _others(text: str, sizes: Sizes, config: Config, of: Sequence[Sequence[str]]) -> Iterator[Other]:
    """The tensors of one line; none if their condition does not hold.

    `name.*` is a weight and a bias; `name.#` is numbered by its first dimension.
    """
    match = _parsed(_TENSOR, text)
    if not _holds(match, config):
        return
    those, shape = _those(of, match["kind"]), sizes_of(match["dimensions"], sizes)
    names = [match["name"]]
    if names[0].endswith("*"):
        names = [names[0].removesuffix("*") + last for last in ("weight", "bias")]
    elif "#" in names[0]:
        names, shape = [names[0].replace("#", str(at)) for at in range(shape[0])], shape[1:]
    for name in names:
        yield Other(name, shape, those)


def sizes_of(text: str, sizes: Sizes) -> tuple[int, ...]:
    """`2*ff,hidden` as numbers."""
    return tuple(_sum(part, sizes) for part in text.split(","))


def _sum(text: str, sizes: Sizes) -> int:
    return sum(_factors(part, sizes) for part in text.split("+"))


def _factors(text: str, sizes: Sizes) -> int:
    top, *below = text.split("/")
    value = math.prod(_number(x, sizes) for x in top.split("*"))
    for x in below:
        value //= _number(x, sizes)
    return value


def _number(text: str, sizes: Sizes) -> int:
    return int(text) if text.lstrip("-").isdigit() else sizes[text]
