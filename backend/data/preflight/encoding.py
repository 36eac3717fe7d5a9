"""Text that was decoded with the wrong encoding on its way into the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from backend.data.conversation import Example, answer_of
from backend.data.finding import Finding, count_of, finding
from backend.data.preflight.texts import among, distinct, everything, sample

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Not the tab, line ends, form feed, nor the escape that colours terminals."""
LOST = "\ufffd"
_SUSPECT = re.compile(r"[\u0080-\u024f\u0370-\u045f\u2000-\u25ff]{2}")
"""A character of several bytes, decoded byte by byte, is at least two of these: only then ftfy looks."""


def encoding_damage(examples: Sequence[Example]) -> Iterator[Finding]:
    """Mojibake by ftfy's heuristics, and replacement characters."""
    looked_at = sample(examples)
    texts = [(example.row - 1, text) for example in looked_at if not (text := everything(example)).isascii()]
    where = among(len(looked_at), len(examples))
    yield from _mojibake(texts, where)
    lost = distinct(row for row, text in texts if LOST in text)
    if lost:
        have = "has" if len(lost) == 1 else "have"
        text = f"{count_of(len(lost))}{where} {have} characters that were lost in decoding (shown as \ufffd)."
        yield finding("warns", "lost-characters", text, "convert the source to UTF-8 anew", lost)


def odd_characters(examples: Sequence[Example]) -> Iterator[Finding]:
    """Control characters, which no text has, and the line ends of Windows in answers: a model learns to write them."""
    looked_at = sample(examples)
    where = among(len(looked_at), len(examples))
    control = distinct(x.row - 1 for x in looked_at if _CONTROL.search(everything(x)))
    if control:
        have = "has" if len(control) == 1 else "have"
        text = f"{count_of(len(control))}{where} {have} control characters such as NUL in their text."
        yield finding("warns", "control-characters", text, "remove them from the source", control)
    windows = distinct(x.row - 1 for x in looked_at if "\r" in answer_of(x))
    if windows:
        text = f"Answers in {count_of(len(windows))}{where} hold the line ends of Windows (\\r): the model learns them."
        yield finding("notes", "windows-line-ends", text, "replace \\r\\n by \\n", windows)


def _mojibake(texts: Sequence[tuple[int, str]], where: str) -> Iterator[Finding]:
    suspect = [(row, text) for row, text in texts if _SUSPECT.search(text)]
    if not suspect:
        return
    from ftfy.badness import BADNESS_RE

    found = [(row, match.group().strip()) for row, text in suspect if (match := BADNESS_RE.search(text))]
    if found:
        rows = distinct(row for row, _ in found)
        have = "has" if len(rows) == 1 else "have"
        text = f"{count_of(len(rows))}{where} {have} text decoded with the wrong encoding, such as {found[0][1]!r}."
        fix = "read the source as the encoding it was written in, or repair the rows with ftfy.fix_text"
        yield finding("warns", "mojibake", text, fix, rows)
