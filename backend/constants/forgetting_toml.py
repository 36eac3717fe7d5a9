"""presets/forgetting.toml: how forgetting is measured and described."""

from __future__ import annotations

from backend.constants.table import Table


class Measure(Table, frozen=True):
    """What is measured, and when."""

    length: int
    slice: float
    slice_rows: int
    most_rows: int
    row_tokens: int
    kept_tokens: int


class Interval(Table, frozen=True):
    """How sure a change is."""

    resamples: int
    confidence: float
    least_examples: int
    widest: float


class Words(Table, frozen=True):
    """Up to which rise of the loss, in nats per token, forgetting has this name; beyond `high` it is severe."""

    low: float
    moderate: float
    high: float


class ForgettingTable(Table, frozen=True):
    """The whole file."""

    measure: Measure
    interval: Interval
    words: Words


class Part(Table, frozen=True):
    """One part of the general set that ships."""

    name: str
    file: str
    licence: str
    source: str
    rows: int
    tokens: int
    """Tokens of all rows, by the demo model's tokenizer."""


class GeneralTable(Table, frozen=True):
    """presets/general/parts.toml."""

    part: tuple[Part, ...]
