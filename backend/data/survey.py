"""All examples of a source gone through once: what each takes, which rows are empty, and a sample that is kept."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, Text, digest, message_digest
from backend.data.formats import Examples
from backend.data.reading.stream import Say
from backend.data.report import Counts
from backend.data.sizes import COLUMNS, Sizes, size_of

SAID_EVERY = 200_000
Digests = npt.NDArray[np.uint64]
"""Numbers that are equal for equal content."""


@dataclass(frozen=True)
class Survey:
    """What is known of every example, in order, and some of the examples themselves."""

    sizes: Sizes
    rows: Counts
    """The row that each example comes from, counted from 0; a long document's examples come from one row."""
    digests: Digests
    """Two an example, equal for examples of equal content."""
    shapes: npt.NDArray[np.int64]
    """Equal for conversations of the same roles in the same order: what chat templates refuse some of."""
    groups: Digests
    """Equal for examples that ask the same, and for the pieces of one document: they are held out together."""
    empty: Counts
    """Rows that make no example, counted from 0."""
    kept: Sequence[Example]
    """The examples themselves if all fit into memory, or a sample of them."""
    kept_at: Counts
    """Their places among all."""
    has_chats: bool
    joined_rows: int = 0
    """All rows of the data if several were joined to one conversation; 0 if none were."""

    def source_rows(self, places: Counts) -> int:
        """How many rows of the data these examples are made of."""
        rows = np.unique(self.rows[places])
        if not self.joined_rows:
            return len(rows)
        starts = np.union1d(self.rows, self.empty)  # a conversation goes on until the next one begins
        sizes = np.diff(np.append(starts, self.joined_rows))
        return int(sizes[np.searchsorted(starts, rows)].sum())

    @property
    def is_whole(self) -> bool:
        """All examples are kept."""
        return len(self.kept) == len(self.rows)

    @property
    def kept_digests(self) -> list[bytes]:
        """Digests of the kept examples."""
        return [x.tobytes() for x in self.digests[self.kept_at]]

    @cached_property
    def repeated(self) -> Counts:
        """Places of the examples whose content is that of an earlier example."""
        _, first = np.unique(self.digests[:, 0], return_index=True)
        again = np.ones(len(self.digests), dtype=np.bool_)
        again[first] = False
        return np.flatnonzero(again).astype(np.int64)

    @property
    def fingerprint(self) -> str:
        """Hash of the content of all examples in order."""
        return blake2b(self.digests.tobytes(), digest_size=16).hexdigest()


def survey(found: Examples, seed: int, say: Say = lambda text: None) -> Survey:
    """Go through all examples once. UserError that names the row if one can't be read."""
    total = len(found.source.rows)
    keeps_all = found.source.is_kept
    chosen = set[int]() if keeps_all else _chosen(total, seed)
    sizes, rows, shapes, empty = array("i"), array("q"), array("q"), array("q")
    digests, groups = bytearray(), bytearray()
    kept: list[Example] = []
    kept_at = array("q")
    has_chats = False
    for example in found:
        if isinstance(example, int):
            empty.append(example)
            continue
        if keeps_all or example.row - 1 in chosen:
            kept.append(example)
            kept_at.append(len(rows))
        has_chats = has_chats or isinstance(example, Conversation)
        sizes.extend(size_of(example))
        digests += digest(example)
        goes_on = isinstance(example, Text) and bool(rows) and rows[-1] == example.row - 1
        groups += groups[-8:] if goes_on else _question(example) or digests[-16:-8]
        shapes.append(_shape(example))
        rows.append(example.row - 1)
        if len(rows) % SAID_EVERY == 0:
            say(f"looked at {len(rows):,} of {total:,} rows")
    return Survey(
        sizes=np.frombuffer(sizes, dtype=np.int32).reshape(-1, COLUMNS),
        rows=_numbers(rows),
        digests=np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2),
        shapes=_numbers(shapes),
        groups=np.frombuffer(groups, dtype=np.uint64),
        empty=_numbers(empty),
        kept=kept,
        kept_at=_numbers(kept_at),
        has_chats=has_chats,
        joined_rows=total if found.layout.joined else 0,
    )


def _chosen(rows: int, seed: int) -> set[int]:
    some = np.random.default_rng(seed).choice(rows, min(rows, constants().exact_rows), replace=False)
    return set(some.tolist())


def _question(example: Example) -> bytes:
    """8 bytes of the turns before the first answer that is trained; empty for a document."""
    if isinstance(example, Text):
        return b""
    asked = blake2b(digest_size=8)
    for message in example.messages:
        if message.scored:
            break
        asked.update(message_digest(message))
    return asked.digest()


def _shape(example: Example) -> int:
    if isinstance(example, Text):
        return 0
    roles = tuple((message.role, bool(message.extra), not message.content) for message in example.messages)
    return hash((roles, bool(example.tools)))


def _numbers(values: array[int]) -> Counts:
    return np.frombuffer(values, dtype=np.int64)
