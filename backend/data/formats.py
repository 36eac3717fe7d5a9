"""Rows to examples: the layout is found from the first rows, then each row is built, and those left out counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from backend.data.build import build
from backend.data.conversation import Conversation, Example, Text
from backend.data.finding import Finding
from backend.data.layout.columns import layout
from backend.data.layout.head import ROWS
from backend.data.layout.joined import join_turns
from backend.data.layout.kinds import Layout
from backend.data.layout.quality import TRAINED_ON
from backend.data.nothing_left import nothing_left
from backend.data.reading.load import Source
from backend.data.reading.passages import divided
from backend.data.row import Value
from backend.data.turns.faults import LeftOut, LeftOuts
from backend.data.turns.oddities import Oddities
from backend.data.unread import Unread, unread_of


@dataclass
class Passed:
    """What was counted the last time that all rows were gone through."""

    left: LeftOuts = field(default_factory=LeftOuts)
    odd: Oddities = field(default_factory=Oddities)
    unread: Unread = field(default_factory=Unread)


@dataclass(frozen=True)
class Examples:
    """The examples of a source, in order: in memory if the rows are, else built again each time."""

    layout: Layout
    source: Source
    passed: Passed
    built: list[Example | int] | None = None

    def __iter__(self) -> Iterator[Example | int]:
        """Every example (a long document makes several); for a row that is left out, its number, counted from 0.

        UserError that names the first unreadable row if too many are.
        """
        return build_all(self.source.rows, self.layout, self.passed) if self.built is None else iter(self.built)

    @cached_property
    def examples(self) -> list[Example]:
        """All of them in memory; those of a large source do not fit."""
        return [example for example in self if not isinstance(example, int)]

    @property
    def empty(self) -> int:
        """Rows that are left out: without an answer or any text, unreadable, or marked so."""
        return sum(isinstance(example, int) for example in self)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """About the columns; and, once all rows were gone through, about those left out and odd turns."""
        passed = self.passed
        return (
            *self.layout.findings,
            *passed.left.findings(),
            *passed.odd.findings(),
            *passed.unread.findings(),
        )


def examples_of(source: Source, mapping: Sequence[str] = ()) -> Examples:
    """The source's rows as examples. UserError that names the row and the key if too many can't be read."""
    found = layout(source.rows[:ROWS], source.columns, mapping)
    passed = Passed()
    built = list(build_all(source.rows, found, passed)) if source.is_kept else None
    examples = Examples(found, source, passed, built)
    if all(isinstance(example, int) for example in examples):
        raise nothing_left(source.reference, found, passed.left)
    return examples


def read_as(found: Examples, mapping: dict[str, str], marks: str = "", worse: Layout | None = None) -> Examples:
    """The same rows read with another mapping, none left out for being marked as bad.

    If there is a column of `marks`, those that it does not mark are left out; if a `worse` answer is to be read too,
    those that have no other answer to the same prompt.
    """
    findings = tuple(x for x in found.layout.findings if not (marks and x.text.endswith(TRAINED_ON)))
    changes: dict[str, Any] = {"mapping": mapping, "marks": marks, "worse": worse, "findings": findings}
    layout: Layout = replace(found.layout, verdict="", others=(), **changes)
    passed = Passed()
    built = list(build_all(found.source.rows, layout, passed)) if found.source.is_kept else None
    return Examples(layout, found.source, passed, built)


def build_all(rows: Iterable[Value], found: Layout, passed: Passed) -> Iterator[Example | int]:
    """Each row built (those of one conversation joined before), or its number from 0 if it is left out.

    `passed` learns at the end what was left out and odd. UserError if more rows are unreadable than may be.
    """
    left, odd, unread, used = LeftOuts(), Oddities(), unread_of(found), 0
    numbered = join_turns(rows, found.joined) if found.joined else enumerate(rows, 1)
    for number, row in numbered:
        unread.add(row, number)
        built = build(row, number, found)
        if isinstance(built, LeftOut):
            left.add(built)
            yield number - 1
            continue
        if isinstance(built, Conversation) and (len(built.messages) > 2 or built.messages[-1].extra):
            odd.add(built)
        used += 1
        if isinstance(built, Text):
            yield from divided(built)
        else:
            yield built
    left.check(used + left.total)
    passed.left, passed.odd, passed.unread = left, odd, unread
