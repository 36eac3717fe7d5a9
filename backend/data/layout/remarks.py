"""Findings about columns: what was chosen among several, what is not used, what should be looked at first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from backend.data.finding import Finding, Severity, count_of, finding
from backend.data.layout.answers import completions
from backend.data.layout.head import Head, holds
from backend.data.layout.kinds import Layout
from backend.data.layout.mapping import option
from backend.data.layout.names import LABELS, NOTHING, is_about_answers, named
from backend.data.layout.quality import quality
from backend.data.layout.unused import is_rejected, unused
from backend.data.turns.cells import turns_of
from backend.data.turns.parts import text_of
from backend.data.turns.turns import spoken_in

MANY_GAPS = 0.01
"""From this share of the rows on, words such as `n/a` for an empty cell are a warning."""


def remarks(head: Head, layout: Layout, said: dict[str, str]) -> tuple[Finding, ...]:
    """All findings about the columns of this layout."""
    return (
        *_preference(head, layout),
        *_several_answers(head, layout, said),
        *_assumed(head, layout, said),
        *quality(head, layout),
        *_systems(head, layout),
        *_gaps(head, layout),
        *_others(head, layout),
        *unused(head, layout),
    )


def _preference(head: Head, layout: Layout) -> Iterator[Finding]:
    if layout.preference is None:
        for column in (x for x in layout.unused if is_rejected(x) and not is_about_answers(x)):
            text = f"This is preference data: the rejected answers in {column!r} are not used."
            yield finding("warns", "preference-data", text)
        return
    better, worse = layout.preference
    if better in layout.mapping.values():
        text = f"This is preference data: the answers in {better!r} are trained on, those in {worse!r} are not used."
        yield finding("warns", "preference-data", text, "--set objective=dpo to learn from both")
    else:
        text = f"This is preference data, but its columns {better!r} and {worse!r} are not used."
        role = "messages" if head.shape(better) == "turns" else "completion"
        fix = f"{option(role, better)} to train on the better ones, or --set objective=dpo to learn from both"
        yield finding("warns", "preference-data", text, fix)


def _several_answers(head: Head, layout: Layout, said: dict[str, str]) -> Iterator[Finding]:
    """Several columns could be the answer."""
    chosen = layout.mapping.get("completion")
    if chosen is None or "completion" in said or layout.preference:
        return
    left = [x for x in completions(head, [*layout.mapping.values()]) if x in layout.unused and x.lower() not in LABELS]
    if left:
        others = ", ".join(f"{x!r} ({head[x].mean:,})" for x in left)
        used = f"The answer is taken from {chosen!r} ({head[chosen].mean:,} characters on average)"
        text = f"{used}, not from {others}"
        yield finding("warns", "several-answers", text + ".", option("completion", left[0]))


def _assumed(head: Head, layout: Layout, said: dict[str, str]) -> Iterator[Finding]:
    """Parts that columns were given though their names or cells also allow another."""
    prompt, completion = layout.mapping.get("prompt"), layout.mapping.get("completion")
    added = layout.mapping.get("input")
    if added and "input" not in said and prompt and (prompt.lower(), added.lower()) != ("instruction", "input"):
        yield finding("notes", "input-column", f"Column {added!r} is written below the question in {prompt!r}.")
    if prompt is None or completion is None or said:
        return
    if named([prompt], "prompt") is None and named([prompt], "text"):
        what = f"The texts in {prompt!r} are taken as questions and {completion!r} as their answers"
        fix = f"{option('text', prompt)} to train on the texts alone, or put an instruction before each"
        yield finding("warns", "text-as-question", f"{what}: nothing else tells the model what to do.", fix)
    elif (
        not layout.preference
        and head.shape(prompt) == "turns"
        and head.shape(completion) != "turns"
        and head[completion].mean < 20
    ):
        what = f"The answers in {completion!r} are short ({head[completion].mean:,} characters on average)"
        fix = "train on full answers if these are only for checking"
        yield finding("warns", "reference-answers", f"{what}, as reference answers of reinforcement learning are.", fix)
    yield from _numbers(head, completion)


def _numbers(head: Head, completion: str) -> Iterator[Finding]:
    """Answers that are not texts are written as JSON; integers such as 1.0 come from a column with empty cells."""
    values = [(at, x) for at, x in enumerate(head[completion].cells) if isinstance(x, bool | int | float)]
    if not values:
        return
    rows = [at for at, _ in values]
    written = text_of(values[0][1], "")
    finite = [x for _, x in values if math.isfinite(x)]
    if not finite or any(not isinstance(x, float) or x != int(x) for x in finite):
        text = f"Answers in {completion!r} that are no texts are written as {written}, as in row {rows[0] + 1}."
        yield finding("notes", "numbers-as-text", text, "write them as text", rows)
    else:
        text = f"All numbers in {completion!r} are whole but stored with a fraction: the model learns to say {written}."
        yield finding("warns", "numbers-as-text", text, "write them as whole numbers or as text", rows)


def _systems(head: Head, layout: Layout) -> Iterator[Finding]:
    """Conversations that begin with a system prompt of their own do not get that of the column."""
    column, turns = layout.mapping.get("system"), layout.mapping.get("messages", layout.mapping.get("prompt"))
    if column is None or turns is None:
        return
    rows = []
    for at, row in enumerate(head.rows):
        own = (turns_of(row.get(turns)) or [{}])[0]
        if holds(row.get(column)) and "system" in spoken_in([own]) and row[column] not in own.values():
            rows.append(at)
    if rows:
        count = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
        text = f"Column {column!r} is not used in {count} whose turns begin with another system prompt."
        yield finding("warns", "two-system-prompts", text, "keep one of the two", rows)


def _gaps(head: Head, layout: Layout) -> Iterator[Finding]:
    """Words such as `n/a` for an empty cell, in columns that are added to the question."""
    for role in ("input", "system", "thinking"):
        column = layout.mapping.get(role)
        cells = head[column].cells if column else []
        rows = [at for at, x in enumerate(cells) if isinstance(x, str) and x.strip().lower() in NOTHING]
        if rows:
            word = str(cells[rows[0]]).strip()
            text = f"Column {column!r} holds {word!r} in {count_of(len(rows))}, and the model reads it."
            severity: Severity = "warns" if len(rows) > MANY_GAPS * len(cells) else "notes"
            yield finding(severity, "gaps-as-text", text, f"empty these cells of {column}", rows)


def _others(head: Head, layout: Layout) -> Iterator[Finding]:
    """Rows of several layouts in one file."""
    if not layout.others:
        return
    rows = [at for at, row in enumerate(head.rows) if not any(holds(row.get(x)) for x in layout.needed)]
    columns = " and ".join(", ".join(repr(x) for x in part.needed) for part in layout.others)
    main = ", ".join(repr(x) for x in layout.needed)
    text = f"Rows of several layouts are mixed: some are read from {main}, others from {columns}."
    yield finding("notes", "mixed-layouts", text, "", rows)
