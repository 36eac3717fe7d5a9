"""The base's licence, and what it asks of anyone who passes a fine-tuned model on (presets/licences.toml)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from backend import paths, typed
from backend.export.source import ExportSource
from backend.model import demo, known

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_LICENCE = re.compile(r"^license(_name)?:\s*[\"']?([\w.\-]+)", re.MULTILINE)


class Licence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of presets/licences.toml; its header says what each key means."""

    match: tuple[str, ...]
    url: str
    asks: str
    hub: str = "other"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    licence: tuple[Licence, ...]


@cache
def known_licences() -> tuple[Licence, ...]:
    """Every licence that the shipped table knows, in its order."""
    return typed.from_toml((paths.SHIPPED / "licences.toml").read_bytes(), _Table).licence


def name_of(source: ExportSource) -> str:
    """The licence's name by the shipped list of models, or by the card in the base's folder; empty if not known."""
    reference = demo.HUB_ID if source.job.model == "demo" else source.job.hub_id or source.job.model
    entry = known.by_name(reference)
    return entry[0].license if entry else _on_card(paths.expanded(source.job.model_folder) / "README.md")


def terms(name: str) -> Licence | None:
    """What the licence of this name asks; None if it is not in the table."""
    said = name.lower()
    return next((x for x in known_licences() if any(said.startswith(start) for start in x.match)), None)


def _on_card(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    front = _FRONT_MATTER.match(text)
    found = dict(_LICENCE.findall(front[1])) if front else {}
    return str(found.get("_name") or found.get("", ""))
