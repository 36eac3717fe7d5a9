"""The error for data of which no row can be trained on."""

from __future__ import annotations

from backend.data.layout.kinds import Layout
from backend.data.layout.mapping import option
from backend.data.turns.faults import LeftOuts
from backend.errors import UserError


def nothing_left(reference: str, found: Layout, left: LeftOuts) -> UserError:
    """The error for data of which no row is left; it gives the reason that most rows have."""
    reason, count = left.counts.most_common(1)[0]
    first = left.first[reason].text
    undesired = f"undesired by {found.verdict!r}; remove that column to use them"
    sentences = {
        "empty-rows": f"all {count:,} rows of {reference} are empty ({first}); fill them in or map another column",
        "rows-without-question": f"all {count:,} rows of {reference} are without a question; {_answers_alone(found)}",
        "unscored-rows": f"no answer of {reference} is to be trained on; mark answers, not questions ({first})",
        "undesired-rows": f"all {count:,} rows of {reference} are {undesired}",
    }
    return UserError(sentences.get(reason, first), "data")


def _answers_alone(found: Layout) -> str:
    """The mapping that trains on answers without questions."""
    if "completion" in found.mapping:
        return f"to train on the answers as plain text, say {option('text', found.mapping['completion'])}"
    return f"to train on the answers alone, say {option('messages', found.mapping.get('messages', 'column'))}"
