"""Old names that files and JSON output keep although the code has new ones, so that files of 0.1 can be read."""

from __future__ import annotations

from typing import Any

OUTSIDE = {
    "predicted": "foreseen",
    "predicted_bytes": "foreseen_bytes",
    "predicted_peak_bytes": "foreseen_peak_bytes",
    "predicted_hours": "foreseen_hours",
    "predicted_cost_usd": "foreseen_cost_usd",
    "predicted_tokens_per_second": "foreseen_tokens_per_second",
    "predicted_phases": "foreseen_phases",
    "transient": "passing",
    "transient_bytes": "passing_bytes",
    "resident": "standing",
    "fix": "mend",
}
"""The code's name -> the name in files and in JSON output."""
INSIDE = {outside: inside for inside, outside in OUTSIDE.items()}


def outside(value: Any) -> Any:
    """`value` (dictionaries, lists, plain values) with the keys that files and JSON output use."""
    return _renamed(value, OUTSIDE)


def inside(value: Any) -> Any:
    """`value` as it was read, with the code's keys."""
    return _renamed(value, INSIDE)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_renamed(item, names) for item in value)
    return value
