"""Any row of the data as the model sees it, made when it is asked for: `fttui data --row` and the data screen."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from backend.data.build import build
from backend.data.chat.tally import Tally
from backend.data.chat.token_texts import token_texts
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import tokenize_all
from backend.data.conversation import Example, Text, digest
from backend.data.pairs import learned_from
from backend.data.preview import plain_segments
from backend.data.reading.load import Source, load
from backend.data.reading.passages import divided
from backend.data.report import Segment
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.data.turns.faults import LeftOut
from backend.errors import wont_do
from backend.model.info import ModelInfo


class Token(NamedTuple):
    """One token of a row."""

    id: int
    text: str
    """All texts joined are the row's text; a character of several tokens belongs to the last of them."""
    target: bool
    """It is in the loss."""


@dataclass(frozen=True)
class Shown:
    """One row as the model sees it."""

    row: int
    """Its number, from 0."""
    refused: str | None = None
    """Why it is not used; None if it is."""
    tokens: tuple[Token, ...] = ()
    """Empty if it can't be tokenised, or no tokenizer is here."""
    segments: tuple[Segment, ...] = ()
    """The row's text, divided into targets and the rest; roles and texts without a tokenizer; an empty row's values."""
    cut: bool = False
    """It goes on after `max_length`."""


class RowBrowser:
    """Renders row N on demand. Raises UserError (field `data`, `mapping` or `row`) if that can't be done."""

    def __init__(
        self,
        reference: str,
        mapping: Sequence[str] = (),
        model: ModelInfo | None = None,
        max_length: int | None = None,
        how: Tokenizing = WHOLE,
        objective: str = "sft",
    ) -> None:
        self._source: Source = load(reference)
        self._found, self._how, *_ = learned_from(self._source, mapping, objective, how)
        folder = model.tokenizer_file.parent if model and model.tokenizer_file else None
        self._tokenizer = TextTokenizer.load(folder, model.added_tokens) if model and folder else None
        self.max_length = max_length

    def __len__(self) -> int:
        """All rows of the data, the unusable ones included."""
        return len(self._source.rows)

    def row(self, number: int) -> Shown:
        """Row `number`, counted from 0."""
        if not 0 <= number < len(self):
            raise wont_do("row", number, f"a number from 0 to {len(self) - 1:,}: the first row is 0")
        examples = self._examples(number)
        if not examples:
            return Shown(number, self._reason(number), segments=(Segment(self._raw(number), False),))
        if self._tokenizer is None:
            return Shown(number, segments=tuple(part for example in examples for part in plain_segments(example)))
        return _joined([self._tokenized(number, example, self._tokenizer) for example in examples])

    def find(self, start: int, step: int, wanted: Callable[[int], bool]) -> int | None:
        """The next row after `start` (before it, if `step` is -1) that is wanted; None if there is none."""
        return next((at for at in range(start + step, len(self) if step > 0 else -1, step) if wanted(at)), None)

    def is_refused(self, number: int) -> bool:
        """Row `number` is not used."""
        return self.row(number).refused is not None

    def is_cut(self, number: int) -> bool:
        """Row `number` is longer than `max_length`."""
        return self.row(number).cut

    def is_duplicate(self, number: int) -> bool:
        """Row `number` has the content of a row before it."""
        return number in self._duplicates

    def holds(self, number: int, text: str) -> bool:
        """Row `number` holds `text`, in any case of its letters."""
        return text.lower() in self._raw(number).lower()

    def _examples(self, number: int) -> list[Example]:
        """The examples made from a row; they are built again if rows are not kept in memory."""
        if self._source.is_kept:
            return self._by_row.get(number, [])
        built = self._built(number)
        if isinstance(built, LeftOut):
            return []
        return list(divided(built)) if isinstance(built, Text) else [built]

    def _reason(self, number: int) -> str:
        """Why a row makes no example."""
        built = self._built(number)
        return built.text if isinstance(built, LeftOut) else f"row {number + 1} is a turn of a row before it"

    def _built(self, number: int) -> Example | LeftOut:
        return build(self._source.rows[number], number + 1, self._found.layout)

    @cached_property
    def _by_row(self) -> dict[int, list[Example]]:
        by_row: dict[int, list[Example]] = defaultdict(list)
        for example in self._found.examples:
            by_row[example.row - 1].append(example)
        return by_row

    @cached_property
    def _duplicates(self) -> frozenset[int]:
        seen: set[bytes] = set()
        repeats = []
        for example in self._found.examples:
            content = digest(example)
            if content in seen:
                repeats.append(example.row - 1)
            seen.add(content)
        return frozenset(repeats)

    def _raw(self, number: int) -> str:
        return json.dumps(self._source.rows[number], ensure_ascii=False, default=str)

    def _tokenized(self, number: int, example: Example, tokenizer: TextTokenizer) -> Shown:
        tally = Tally()
        length = None if isinstance(example, Text) else self.max_length  # a document is divided, not cut
        row = tokenize_all([example], tokenizer, replace(self._how, max_length=length), tally)[0]
        if row is None:
            reason = f"the chat template does not take {tally.refusal}"
            return Shown(number, reason, segments=plain_segments(example))
        texts = token_texts(tokenizer, row.ids.tolist())
        tokens = tuple(map(Token, row.ids.tolist(), texts, row.scored.tolist()))
        refused = None if row.scored.any() else self._without_targets(number, row.truncated)
        return Shown(number, refused, tokens, _segments(tokens), row.truncated)

    def _without_targets(self, number: int, truncated: bool) -> str:
        if truncated:
            return f"row {number + 1} has no answer within {self.max_length} tokens; raise max_length"
        return f"row {number + 1} has no token that is a target of the loss"


def _joined(parts: Sequence[Shown]) -> Shown:
    """The pieces of a long document as one; it is used if any piece is."""
    if len(parts) == 1:
        return parts[0]
    return Shown(
        parts[0].row,
        None if any(part.refused is None for part in parts) else parts[0].refused,
        tuple(token for part in parts for token in part.tokens),
        tuple(segment for part in parts for segment in part.segments),
        any(part.cut for part in parts),
    )


def _segments(tokens: Sequence[Token]) -> tuple[Segment, ...]:
    """Neighbouring tokens of a kind as one text."""
    runs = groupby(tokens, key=lambda token: token.target)
    segments = (Segment("".join(token.text for token in run), target) for target, run in runs)
    return tuple(segment for segment in segments if segment.text)
