"""Rows that belong to one side of the split: copies, near-duplicates, and rows that ask the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

from backend.data.constants import constants
from backend.data.conversation import Example, digest
from backend.data.preflight.near import near_pairs
from backend.data.preflight.texts import question, said


def groups(examples: Sequence[Example]) -> list[str]:
    """A key for each row, equal for rows that must not be on both sides; it depends only on the rows' content.

    Text that many rows share (a fixed instruction, a greeting) does not group them: nothing could be held out.
    """
    limits = constants()
    digests = [digest(example) for example in examples]
    sets = _Sets(len(examples))
    sets.join_equal(digests, len(examples))
    most = most_together(len(examples))
    sets.join_equal([_hashed(question(example)) for example in examples], most)
    if len(examples) <= limits.group_rows:
        for later, earlier in near_pairs([said(example) for example in examples]):
            sets.join(later, earlier, most)
    return [digests[least].hex() for least in sets.least(digests)]


def most_together(rows: int) -> int:
    """The most rows, out of `rows`, to keep together because they ask the same, or are nearly the same."""
    limits = constants()
    return max(min(limits.group_least, rows // 2), round(limits.group_fraction * rows))


def shared(keys: Sequence[str], held_out: Sequence[int]) -> list[int]:
    """Rows of `held_out` whose group has rows outside of it, too."""
    inside = Counter(keys[at] for at in held_out)
    whole = Counter(keys)
    return [at for at in held_out if whole[keys[at]] > inside[keys[at]]]


class _Sets:
    """Disjoint sets of rows that grow together."""

    def __init__(self, rows: int) -> None:
        self._above = list(range(rows))
        self._sizes = [1] * rows

    def _root(self, row: int) -> int:
        while self._above[row] != row:
            self._above[row] = self._above[self._above[row]]
            row = self._above[row]
        return row

    def join(self, one: int, other: int, most: int) -> None:
        """Make them one set, unless it had more than `most` rows."""
        first, second = self._root(one), self._root(other)
        if first != second and self._sizes[first] + self._sizes[second] <= most:
            self._above[second] = first
            self._sizes[first] += self._sizes[second]

    def join_equal(self, keys: Sequence[bytes], most: int) -> None:
        """Join rows with equal keys, except for keys of more than `most` rows and the empty key."""
        counts = Counter(keys)
        first: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key and 1 < counts[key] <= most:
                self.join(first.setdefault(key, row), row, len(keys))

    def least(self, digests: Sequence[bytes]) -> list[int]:
        """For each row, the row of its set with the least digest, which names the set whatever the order of rows."""
        best: dict[int, int] = {}
        roots = [self._root(row) for row in range(len(digests))]
        for row, root in enumerate(roots):
            if root not in best or digests[row] < digests[best[root]]:
                best[root] = row
        return [best[root] for root in roots]


def _hashed(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() if text else b""
