"""The nearest known name to a misspelt one, for the end of an error sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

ALIKE = 0.5
"""Names count as alike from this similarity on (difflib's ratio)."""


def hint(word: str, known: Iterable[str], otherwise: str = "", alike: float = ALIKE) -> str:
    """`did you mean 'rank'?`, or `otherwise` if no known name is like `word`; by default that lists the names."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=alike)
    return f"did you mean {near[0]!r}?" if near else otherwise or f"there are {', '.join(names)}"


def offered(sentence: str) -> str:
    """The name that an error's sentence ends up offering, the first of several; empty if it offers none."""
    found = re.search(r"did you mean (?:'([^']+)'|(.+?))(?: or .+?)?\?", sentence)
    return (found[1] or found[2]) if found else ""
