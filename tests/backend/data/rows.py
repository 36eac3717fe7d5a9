"""Small data files for the tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def jsonl(path: Path, rows: Iterable[Any]) -> str:
    """Write rows as JSON lines; the path as text, as a user would type it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def pairs(count: int) -> list[dict[str, Any]]:
    """Distinct questions and answers."""
    return [{"question": f"What is {n} plus {n}?", "answer": f"It is {n + n}, I think."} for n in range(count)]
