"""Numbers as the user types them: one sentence with the allowed range where they won't do."""

from __future__ import annotations

import math

from backend.errors import UserError


def number(text: str, what: str, field: str, *, least: float = 0.0, above: bool = False) -> float | None:
    """A number of at least (or above) `least`, or None where the text is empty. `$`, commas and spaces are forgiven."""
    cleaned = text.replace("$", "").replace(",", "").replace(" ", "").removesuffix("h")
    if not cleaned:
        return None
    bound = f"above {least:g}" if above else f"{least:g} or more"
    try:
        value = float(cleaned)
    except ValueError:
        raise UserError(f"{what} takes a number, {bound}, not {text!r}", field) from None
    if not math.isfinite(value) or value < least or (above and value == least):
        raise UserError(f"{what} can't be {text}: it takes a number, {bound}", field)
    return value


def whole(text: str, what: str, field: str, *, least: int = 0) -> int:
    """A whole number of at least `least`."""
    cleaned = text.replace(",", "").replace(" ", "")
    try:
        value = int(cleaned)
    except ValueError:
        raise UserError(f"{what} takes a whole number, {least:,} or more, not {text!r}", field) from None
    if value < least:
        raise UserError(f"{what} can't be {value:,}: it takes a whole number, {least:,} or more", field)
    return value


def text(value: float | None) -> str:
    """As it stands in an entry; empty for None."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
