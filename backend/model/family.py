"""Model families (presets/families.toml): what a block is made of, written down per architecture, evaluated here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from backend import paths, typed
from backend.model.shape import Linear

_LINEAR = re.compile(r"(?P<name>\w+): (?P<inputs>\S+) -> (?P<outputs>\S+)(?: \+ (?P<bias>\w+))?")
_VECTOR = re.compile(r"(?P<size>\S+)(?: (?P<when>if|unless) (?P<key>\w+))?")

Sizes = Mapping[str, int]
Config = Mapping[str, Any]


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of presets/families.toml; its header says what each key means."""

    linears: tuple[str, ...] = ()
    norms: tuple[str, ...]
    final: tuple[str, ...] = ("hidden",)
    expert: tuple[str, ...] = ()
    router: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    keys: dict[str, tuple[str, ...]] = {}
    defaults: dict[str, Any] = {}

    def block_linears(self, sizes: Sizes, config: Config) -> tuple[Linear, ...]:
        """The linear layers of one block."""
        return tuple(_linear(text, sizes, config) for text in self.linears or families()["llama"].linears)

    def expert_linears(self, sizes: Sizes, config: Config) -> tuple[Linear, ...]:
        """The linear layers of one expert; none for a dense family."""
        return tuple(_linear(text, sizes, config) for text in self.expert)

    def block_norms(self, sizes: Sizes, config: Config) -> int:
        """Parameters of one block's norms and other vectors."""
        return sum(_vector(text, sizes, config) for text in self.norms)

    def final_norms(self, sizes: Sizes, config: Config) -> int:
        """Parameters of the vectors outside the blocks."""
        return sum(_vector(text, sizes, config) for text in self.final)

    def block_router(self, sizes: Sizes, config: Config) -> int:
        """Parameters of one block's router."""
        return sum(_vector(text, sizes, config) for text in self.router)


@cache
def families() -> dict[str, Family]:
    """Every known family by its `model_type`."""
    return typed.from_toml((paths.SHIPPED / "families.toml").read_bytes(), dict[str, Family])


def _linear(text: str, sizes: Sizes, config: Config) -> Linear:
    match = _LINEAR.fullmatch(text)
    assert match, f"presets/families.toml: {text!r} is no linear layer"
    bias = match["bias"] == "bias" or bool(match["bias"] and config.get(match["bias"]))
    return Linear(match["name"], _size(match["inputs"], sizes), _size(match["outputs"], sizes), bias)


def _vector(text: str, sizes: Sizes, config: Config) -> int:
    match = _VECTOR.fullmatch(text)
    assert match, f"presets/families.toml: {text!r} is no vector"
    if match["when"] and bool(config.get(match["key"])) != (match["when"] == "if"):
        return 0
    return _size(match["size"], sizes)


def _size(text: str, sizes: Sizes) -> int:
    """`2*hidden` as a number."""
    product = 1
    for factor in text.split("*"):
        product *= int(factor) if factor.isdigit() else sizes[factor]
    return product
