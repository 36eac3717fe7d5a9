r"""Text that was escaped once too often on its way into the file: \n for a line break, &amp; for &."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from backend.data.constants import constants
from backend.data.conversation import Example, Text
from backend.data.finding import Finding, count_of, finding
from backend.data.preflight.texts import among, distinct, everything, sample

_LINE_BREAK = re.compile(r"(?<![\\`'\"/])\\n(?!(?:[a-z]+(?=[\s_^{}\\$]))|[`'\"/])")
r"""Not in quotes, as in code, and not the beginning of a LaTeX command such as \nu or \neq."""
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,4});")


def escapes(examples: Sequence[Example]) -> Iterator[Finding]:
    """Escaped line breaks and HTML entities, if a model would learn to write them; a few may be meant."""
    looked_at = sample(examples)
    where = among(len(looked_at), len(examples))
    broken = _rows(looked_at, _has_escaped_line_break)
    if broken:
        text = f"{count_of(len(broken))}{where} have the two characters \\n for a line break: the model learns them."
        yield finding("warns", "escaped-line-breaks", text, "the text was escaped twice: decode it once more", broken)
    entities = _rows(looked_at, lambda example: bool(_ENTITY.search(everything(example))))
    if entities:
        text = (
            f"{count_of(len(entities))}{where} hold HTML's spelling of characters, such as &amp;: the model learns it."
        )
        yield finding("notes", "html-entities", text, "pass the texts through html.unescape", entities)


def _rows(looked_at: Sequence[Example], is_escaped: Callable[[Example], bool]) -> list[int]:
    """Indices of the rows that are escaped; none if they are too few to be a mistake."""
    found = distinct(example.row - 1 for example in looked_at if is_escaped(example))
    return found if len(found) > constants().escaped_fraction * len(looked_at) else []


def _has_escaped_line_break(example: Example) -> bool:
    """A turn or document has the two characters and no real line break, which code that writes them has."""
    texts = [example.document] if isinstance(example, Text) else [x.content for x in example.messages]
    return any("\n" not in text.strip() and _LINE_BREAK.search(text) for text in texts)
