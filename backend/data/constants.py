"""presets/data.toml: what is assumed of data that can't be counted, and what is worth a warning."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache

from backend import paths


@dataclass(frozen=True)
class Constants:
    """Figures of presets/data.toml, where each has its source."""

    letter_bytes_per_token: float
    """UTF-8 bytes per token of text other than digits and symbols, if no tokenizer is at hand."""
    tokens_per_turn: float
    """Tokens that a chat template adds to a turn."""
    scored_fraction: float
    """Part of a row's tokens that is scored, for data that is not there yet."""
    exact_rows: int
    """More rows than this are counted by a sample."""
    sample_rows: int
    """Rows of that sample."""
    passage_characters: int
    """Longest passage that plain text files are divided into."""
    held_out_rows: int
    """Most rows that are held out for evaluation."""
    download_bytes: int
    """Most that is fetched from the hub without asking for a part of it."""
    cache_bytes: int
    """Most that tokenised data takes on disk; what was used least recently is deleted."""
    kept_bytes: int
    """Memory that rows may take to be kept instead of read again."""
    whole_bytes: int
    """Larger data is inspected by a sample."""
    sample_bytes: int
    """How much of it is read."""
    few_rows: int
    duplicate_fraction: float
    escaped_fraction: float
    """Part of the rows above which line breaks written as `\\n`, or HTML's spelling of characters, are a mistake."""
    near_similarity: float
    """Share of word triples in common from which on two rows are near-duplicates."""
    preflight_rows: int
    """Most rows that the checks of preflight/ look at."""
    group_rows: int
    """Most rows among which near-duplicates are sought for the split."""
    group_fraction: float
    """Rows that share a prompt stay on one side of the split, up to this share of all rows..."""
    group_least: int
    """...or up to so many rows, if that is more."""


@cache
def constants() -> Constants:
    """The figures as shipped."""
    tables = tomllib.loads((paths.SHIPPED / "data.toml").read_text(encoding="utf-8"))
    values = {key: value for table in tables.values() for key, value in table.items() if not key.endswith("_source")}
    return Constants(**values)
