"""A preset as a noun: settings and answers under a name. backend/presets.py reads and writes them as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend import paths


@dataclass(frozen=True)
class Preset:
    """A named start: plan fields that stay as they are, and answers that are defaults."""

    name: str
    description: str
    plan: Mapping[str, Any]
    """Plan fields that the planner keeps."""
    job: Mapping[str, Any]
    """Answers (fields of `Answers`), which the user may change."""
    path: Path
    """Its file."""
    shipped: bool
    made_for: Mapping[str, Any] = field(default_factory=dict)
    """`device`, and the plan fields that were chosen for it when it was saved; another box plans them anew."""

    @property
    def reference(self) -> str:
        """What a command takes for it: its name, or its file if it is in neither folder of named presets."""
        return self.name if self.path.parent in (paths.own_presets(), paths.SHIPPED_PRESETS) else str(self.path)
