"""Numbers as the user types them; for one that can't be used, a sentence with the allowed range."""

from __future__ import annotations

import math

from backend.errors import wont_do


def number(text: str, what: str, field: str, *, least: float = 0.0, above: bool = False) -> float | None:
    """A number of at least (or above) `least`; None if the text is empty. `$`, commas and spaces are ignored."""
    cleaned = text.replace("$", "").replace(",", "").replace(" ", "").removesuffix("h")
    if not cleaned:
        return None
    takes = f"a number {'above' if above else 'of at least'} {least:g}"
    try:
        value = float(cleaned)
    except ValueError:
        raise wont_do(what, text, takes, field) from None
    if not math.isfinite(value) or value < least or (above and value == least):
        raise wont_do(what, text, takes, field)
    return value


def whole(text: str, what: str, field: str, *, least: int = 0) -> int:
    """A whole number of at least `least`."""
    cleaned = text.replace(",", "").replace(" ", "")
    takes = f"a whole number of at least {least:,}"
    try:
        value = int(cleaned)
    except ValueError:
        raise wont_do(what, text, takes, field) from None
    if value < least:
        raise wont_do(what, text, takes, field)
    return value


def text(value: float | None) -> str:
    """The text of an entry; empty for None."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
