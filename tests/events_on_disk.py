"""A run's events as other programs read them: the lines of its file as plain JSON, without fttui's types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(events_file: Path, name: str | None = None) -> list[dict[str, Any]]:
    """All events, or those called `name`."""
    if not events_file.exists():
        return []
    events: list[dict[str, Any]] = [json.loads(line) for line in events_file.read_text("utf-8").splitlines()]
    return [event for event in events if name in (None, event["event"])]
