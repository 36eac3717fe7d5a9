"""Text that was decoded with the wrong encoding on its way into the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from backend.data.conversation import Example
from backend.data.finding import Finding, count_of, finding
from backend.data.preflight.texts import among, everything, sample

LOST = "\ufffd"
_SUSPECT = re.compile(r"[\u0080-\u024f\u0370-\u045f\u2000-\u25ff]{2}")
"""A character of several bytes, decoded byte by byte, is at least two of these: only then ftfy looks."""


def encoding_damage(examples: Sequence[Example]) -> Iterator[Finding]:
    """Mojibake by ftfy's heuristics, and replacement characters."""
    looked_at = sample(examples)
    texts = [(example.row - 1, text) for example in looked_at if not (text := everything(example)).isascii()]
    where = among(len(looked_at), len(examples))
    yield from _mojibake(texts, where)
    lost = [row for row, text in texts if LOST in text]
    if lost:
        text = f"{count_of(len(lost))}{where} have characters that were lost in decoding (shown as \ufffd)."
        yield finding("warns", "lost-characters", text, "convert the source to UTF-8 anew", lost)


def _mojibake(texts: Sequence[tuple[int, str]], where: str) -> Iterator[Finding]:
    suspect = [(row, text) for row, text in texts if _SUSPECT.search(text)]
    if not suspect:
        return
    from ftfy.badness import BADNESS_RE

    found = [(row, match.group().strip()) for row, text in suspect if (match := BADNESS_RE.search(text))]
    if found:
        text = f"{count_of(len(found))}{where} have text decoded with the wrong encoding, such as {found[0][1]!r}."
        fix = "read the source as the encoding it was written in, or repair the rows with ftfy.fix_text"
        yield finding("warns", "mojibake", text, fix, [row for row, _ in found])
