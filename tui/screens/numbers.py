"""Numbers as the user types them; for one that can't be used, a sentence with the allowed range."""

from __future__ import annotations

import math
import re

from backend.errors import wont_do
from backend.plan import fields

_THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d*)?")


def number(text: str, what: str, field: str, *, least: float = 0.0, above: bool = False) -> float | None:
    """A number of at least (or above) `least`; None if the text is empty.

    `$`, spaces and commas between thousands are ignored.
    """
    cleaned = text.replace("$", "").replace(" ", "").removesuffix("h")
    if not cleaned:
        return None
    takes = f"a number {'above' if above else 'of at least'} {least:g}{_point(cleaned)}"
    try:
        value = float(_ungrouped(cleaned))
    except ValueError:
        raise wont_do(what, text, takes, field) from None
    if not math.isfinite(value) or value < least or (above and value == least):
        raise wont_do(what, text, takes, field)
    return value


def whole(text: str, what: str, field: str, *, least: int = 0) -> int:
    """A whole number of at least `least`."""
    cleaned = text.replace(" ", "")
    takes = f"a whole number of at least {least:,}"
    try:
        value = int(_ungrouped(cleaned))
    except ValueError:
        raise wont_do(what, text, takes, field) from None
    if value < least:
        raise wont_do(what, text, takes, field)
    return value


def _ungrouped(text: str) -> str:
    """Without commas between thousands; any other comma stays, and is refused: 0,45 is not 45."""
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def _point(text: str) -> str:
    """What to write in place of a decimal comma."""
    return ", with a decimal point" if "," in text else ""


def text(value: float | None) -> str:
    """The text of an entry; empty for None."""
    return "" if value is None else fields.exact(value)
