"""Which columns could be the answer."""

from __future__ import annotations

from collections.abc import Sequence

from backend.data.layout.head import Head
from backend.data.layout.names import ALIASES, LABELS, preference


def completions(head: Head, taken: Sequence[str]) -> list[str]:
    """Columns that could be the answer, the one to choose first.

    The better answer of preference data comes first, then the fullest column with a usual name; classes of a text last.
    """
    pair = preference(head.columns)
    usual = [name for name in ALIASES["completion"] if name not in LABELS]
    by_name = {column.lower().strip(): column for column in reversed(head.columns)}
    found = [by_name[name] for name in usual if name in by_name]
    known = [x for x in found if x not in taken and head.shape(x) in ("text", "turns", "number", "truth", "transcript")]
    known.sort(key=lambda column: -head[column].characters)
    late = [x for x in found if x not in taken and head.shape(x) in ("empty", "other")]
    classes = [by_name[name] for name in LABELS if name in by_name and by_name[name] not in taken]
    better = [pair[0]] if pair and pair[0] not in taken else []
    filled = [x for x in better if head.shape(x) != "empty"]
    worse = [pair[1]] if pair else []
    return [x for x in dict.fromkeys([*filled, *known, *better, *late, *classes]) if x not in worse]
