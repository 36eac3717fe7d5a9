"""General rows mixed into the training rows, so that less is forgotten (`replay_fraction`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from backend.data.chat.tokens import Ids, Mask
from backend.data.general import Part
from backend.data.prepare import Prepared
from backend.plan.counts import replay_rows
from backend.plan.plan import Plan


@dataclass(frozen=True)
class Mixed:
    """The training rows, then a number of general rows, repeated from the first when they are used up."""

    own: Any
    general: Sequence[tuple[Ids, Mask]]
    count: int

    def __len__(self) -> int:
        return len(self.own) + self.count

    def __getitem__(self, at: int) -> tuple[Ids, Mask]:
        if at < len(self.own):
            row: tuple[Ids, Mask] = self.own[at]
            return row
        return self.general[(at - len(self.own)) % len(self.general)]


def divided(parts: Sequence[Part]) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The general text to train on and the text to measure on: every other example, so that none is in both."""
    halves = ([_half(part, first) for part in parts] for first in (0, 1))
    learned, measured = (tuple(part for part in half if part.rows) for half in halves)
    return learned, measured


def mixed(data: Prepared, parts: Sequence[Part], plan: Plan) -> Prepared:
    """The data with rows of `parts` mixed in, taken from each part in turn."""
    longest = max((len(part.rows) for part in parts), default=0)
    rows = [part.rows[at] for at in range(longest) for part in parts if at < len(part.rows)]
    if not rows:
        return data
    train = Mixed(data.train, rows, replay_rows(len(data.train), plan))
    digest = blake2b(digest_size=16)
    for ids, scored in rows:
        digest.update(ids.tobytes() + scored.tobytes())
    learned = f"replay {train.count} of {len(rows)} {digest.hexdigest()}"
    return replace(data, train=train, fingerprint=f"{data.fingerprint} {learned}")


def _half(part: Part, first: int) -> Part:
    numbers = {example: at for at, example in enumerate(dict.fromkeys(part.examples))}
    chosen = [at for at, example in enumerate(part.examples) if numbers[example] % 2 == first]
    return Part(part.name, tuple(part.rows[at] for at in chosen), tuple(part.examples[at] for at in chosen))
