"""Well-known models (presets/models.toml): found by hub id, by short name, or as the stand-in for a size."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import replace
from functools import cache
from typing import Any, Final

import msgspec

from backend import paths, typed, units
from backend.errors import UserError
from backend.model.config import is_instruct, shape_from_config
from backend.model.shape import ModelShape

_SIZE: Final = re.compile(r"(?i)(\d+(?:\.\d+)?)\s*([bm])")
_FARTHEST: Final = 1.35
"""A stand-in may be this many times larger or smaller than the size that was asked for."""


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of presets/models.toml; its header says what each key means."""

    name: str
    id: str
    same_shape: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    license: str
    tuned: tuple[str, ...] = ()
    parameters: int
    config: dict[str, Any]

    @property
    def ids(self) -> tuple[str, ...]:
        """Every hub id of this shape, the one that it is fetched from first."""
        return (self.id, *self.same_shape)

    def shape(self, hub_id: str | None = None) -> ModelShape:
        """The shape, under the name of `hub_id`; licence and tuning are those of that id."""
        chosen = hub_id or self.id
        tuned = is_instruct(chosen) or chosen in self.tuned
        name = chosen.rsplit("/", 1)[-1] if hub_id else self.name
        return replace(shape_from_config(self.config, name), license=self.license, instruct=tuned)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[Known, ...]


@cache
def models() -> tuple[Known, ...]:
    """Every well-known model, in the file's order."""
    return typed.from_toml((paths.SHIPPED / "models.toml").read_bytes(), _Table).model


@cache
def _index() -> dict[str, tuple[Known, str]]:
    """Lower-case hub ids and short names -> the model and the hub id meant. The first model with a name has it."""
    index: dict[str, tuple[Known, str]] = {}
    for known in models():
        for hub_id in known.ids:
            index.setdefault(hub_id.lower(), (known, hub_id))
            index.setdefault(hub_id.rsplit("/", 1)[-1].lower(), (known, hub_id))
        for alias in (known.name, *known.aliases):
            index.setdefault(alias.lower(), (known, known.id))
    return index


def by_name(reference: str) -> tuple[Known, str] | None:
    """The model of this hub id or short name, and its hub id; None for any other."""
    return _index().get(reference.strip().lower())


def size_of(reference: str) -> float | None:
    """Parameters of a size word such as `8b`, `0.5B` or `135m`; None for anything else."""
    match = _SIZE.fullmatch(reference.strip())
    return float(match[1]) * (1e9 if match[2].lower() == "b" else 1e6) if match else None


def by_size(parameters: float, said: str) -> Known:
    """The dense model nearest to a size. Raises UserError if none is near."""
    dense = [known for known in models() if shape_from_config(known.config, known.name).experts == 0]
    sizes = [known.parameters for known in dense]
    nearest = min(dense, key=lambda known: abs(math.log(known.parameters / max(parameters, 1.0))))
    if not 1 / _FARTHEST < nearest.parameters / max(parameters, 1.0) < _FARTHEST:
        raise UserError(
            f"no known model is near the size {said} (the nearest is {nearest.name}; sizes go from "
            f"{units.count(min(sizes))} to {units.count(max(sizes))}); give a folder or a hub id instead",
            "model",
        )
    return nearest


def suggestions(reference: str) -> list[str]:
    """Hub ids of known models with a name like `reference`, at most three, to say in an error."""
    matches = difflib.get_close_matches(reference.rsplit("/", 1)[-1].lower(), list(_index()), n=6, cutoff=0.6)
    return list(dict.fromkeys(_index()[match][1] for match in matches))[:3]
