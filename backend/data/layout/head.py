"""The first rows of the data, by column: what its cells hold and how much."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from backend.data.layout.names import named
from backend.data.row import Value
from backend.data.turns.transcript import is_transcript
from backend.data.turns.turns import turns_in

ROWS = 1000
"""Rows that decide which column plays which part."""

TRANSCRIPTS = 0.95
"""If this share of a column's texts are transcripts, the others count as faulty transcripts."""

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")
LARGEST = 10**300
"""Larger integers can't be converted to floats."""

Shape = Literal["empty", "truth", "number", "text", "turns", "transcript", "other"]


class Column:
    """One column of the head."""

    def __init__(self, name: str, rows: Sequence[Value], keyed_text: bool = True) -> None:
        self.name = name
        self._keyed_text = keyed_text
        self.cells = [row.get(name) for row in rows]

    @cached_property
    def values(self) -> list[Any]:
        """The cells that hold something."""
        return [x for x in self.cells if holds(x)]

    @cached_property
    def turns(self) -> list[list[Mapping[str, Any]]]:
        """The cells that hold turns."""
        cells = (x for x in self.values if not isinstance(x, int | float))
        return [turns for x in cells if (turns := turns_in(x, self._keyed_text)) is not None]

    @cached_property
    def shape(self) -> Shape:
        """What most cells hold."""
        values = self.values
        if not values:
            return "empty"
        if all(isinstance(x, bool) or _is_word_of_truth(x) for x in values):
            return "truth"
        if all(_is_number(x) for x in values):
            return "number"
        if 2 * len(self.turns) > len(values):
            return "turns"
        if 2 * sum(isinstance(x, str) for x in values) > len(values):
            transcripts = sum(map(is_transcript, values))
            return "transcript" if transcripts >= TRANSCRIPTS * len(values) else "text"
        return "text" if all(isinstance(x, str | int | float) for x in values) else "other"

    @cached_property
    def characters(self) -> int:
        """Length of all cells as text."""
        return sum(len(x) if isinstance(x, str) else len(str(x)) for x in self.values)

    @property
    def mean(self) -> int:
        """Mean length of a cell that holds something."""
        return round(self.characters / len(self.values)) if self.values else 0

    @cached_property
    def is_prose(self) -> bool:
        """Most texts have words with spaces between them."""
        texts = [x for x in self.values if isinstance(x, str)]
        return 2 * sum(" " in x.strip() or len(x) > 200 or not x.isascii() for x in texts) > len(texts) > 0


class Head:
    """The head of the data."""

    def __init__(self, rows: Sequence[Value], columns: Sequence[str]) -> None:
        self.rows = rows[:ROWS]
        self.columns = tuple(columns)
        self._known: dict[str, Column] = {}
        self._has_pair = named(columns, "prompt") is not None and named(columns, "completion") is not None

    def __getitem__(self, name: str) -> Column:
        if name not in self._known:
            self._known[name] = Column(name, self.rows, self._may_be_keyed(name))
        return self._known[name]

    def _may_be_keyed(self, name: str) -> bool:
        """Whether JSON objects with a question and an answer, as text in this column, are turns rather than answers."""
        if named([name], "messages"):
            return True
        is_usual = any(named([name], role) for role in ("prompt", "input", "completion", "system"))
        return not self._has_pair and not is_usual

    def shape(self, name: str) -> Shape:
        """What most cells of a column hold."""
        return self[name].shape

    def of_shape(self, *shapes: Shape) -> list[str]:
        """Columns of these shapes."""
        return [name for name in self.columns if self[name].shape in shapes]


def holds(value: Any) -> bool:
    """The cell is neither null nor empty, nor the NaN that tables have in their gaps."""
    return value is not None and value != "" and value != [] and value != {} and value == value


def _is_word_of_truth(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in ("true", "false")


def _is_number(value: Any) -> bool:
    """A number, or one as text, that `float` takes."""
    if isinstance(value, str):
        return NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < LARGEST)
