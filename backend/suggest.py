"""The nearest known name to a misspelt one, for the end of an error sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIKE = 0.5
"""Share of letters in common (difflib's ratio) from which two names are alike."""


def hint(word: str, known: Iterable[str], otherwise: str = "", alike: float = ALIKE) -> str:
    """`did you mean 'rank'?`, or `otherwise` if no known name is like `word`; by default that lists the names."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=alike)
    return f"did you mean {near[0]!r}?" if near else otherwise or f"there are {', '.join(names)}"
