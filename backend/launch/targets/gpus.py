"""What engines call a GPU (presets/engines.toml)."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

import msgspec

from backend import paths, typed
from backend.errors import UserError
from backend.hardware import catalogue

Renter = Literal["skypilot", "dstack"]
_SIZE = re.compile(r"\b\d+\s?GB\b")


class _Gpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    skypilot: str
    dstack: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    gpu: tuple[_Gpu, ...]


@cache
def _known() -> dict[str, _Gpu]:
    found = typed.from_toml((paths.SHIPPED / "engines.toml").read_bytes(), _Table).gpu
    return {gpu.name: gpu for gpu in found}


def name(gpu: str, engine: Renter) -> str:
    """The engine's name of a GPU of gpus.toml, or of one as the driver reports it."""
    if " + " in gpu:
        raise UserError(f"gpu: {engine} rents one kind of GPU at a time, and the plan is for {gpu}; name one", "gpu")
    spec = catalogue_name(gpu)
    known = _known().get(spec)
    return str(getattr(known, engine)) if known else re.sub(r"[^A-Za-z0-9-]", "", _SIZE.sub("", spec))


def catalogue_name(gpu: str) -> str:
    """The name in gpus.toml of what the driver reports; as it is if it is not known."""
    return next((x.name for x in catalogue.specs() if gpu == x.name or gpu in x.nvml), gpu)


def memory_gb(gpu: str) -> int | None:
    """Memory as sold; None if the GPU is not known."""
    found = next((x for x in catalogue.specs() if x.name == catalogue_name(gpu)), None)
    return round(found.memory_gb) if found else None
