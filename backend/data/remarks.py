"""Findings about columns: what was chosen among several, what is not used, what is better looked at first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.data.answers import completions
from backend.data.cells import turns_of
from backend.data.finding import Finding, finding
from backend.data.head import Head, holds
from backend.data.layout import Layout
from backend.data.names import (
    ALIASES,
    ANSWERS,
    LABELS,
    LOSERS,
    MARKS,
    PERSONAS,
    QUALITY,
    RATINGS,
    THINKING,
    WINNERS,
    is_identifier,
    named,
    words,
)
from backend.data.parts import text_of

COMPARED_ROWS = 50
"""Rows in which a column that is not used is compared with what is used."""


def remarks(head: Head, layout: Layout, said: dict[str, str]) -> tuple[Finding, ...]:
    """All findings about the columns of this layout."""
    return (
        *_preference(head, layout),
        *_several_answers(head, layout, said),
        *_assumed(head, layout, said),
        *_quality(head, layout),
        *_others(head, layout),
        *_unused(head, layout),
    )


def _preference(head: Head, layout: Layout) -> Iterator[Finding]:
    if layout.preference is None:
        for column in (x for x in layout.unused if _is_rejected(x)):
            text = f"This is preference data: the rejected answers in {column!r} are not used."
            yield finding("warns", "preference-data", text)
        return
    better, worse = layout.preference
    if better in layout.mapping.values():
        text = f"This is preference data: the answers in {better!r} are trained on, those in {worse!r} are not used."
        yield finding("warns", "preference-data", text)
    else:
        text = f"This is preference data, but its columns {better!r} and {worse!r} are not used."
        role = "messages" if head.shape(better) == "turns" else "completion"
        yield finding("warns", "preference-data", text, f"--mapping {role}={better}")


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
        yield finding("warns", "several-answers", text + ".", f"--mapping completion={left[0]}")


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
        fix = f"--mapping text={prompt} to train on the texts alone, or put an instruction before each"
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
    """Answers that are no texts are written as JSON writes them; whole numbers as 1.0 come from a column with gaps."""
    values = [(at, x) for at, x in enumerate(head[completion].cells) if isinstance(x, bool | int | float)]
    if not values:
        return
    rows = [at for at, _ in values]
    written = text_of(values[0][1], "")
    if any(not isinstance(x, float) or x != int(x) for _, x in values if x == x and abs(x) != float("inf")):
        text = f"Answers in {completion!r} that are no texts are written as {written}, as in row {rows[0] + 1}."
        yield finding("notes", "numbers-as-text", text, "write them as text", rows)
    else:
        text = f"All numbers in {completion!r} are whole but stored with a fraction: the model learns to say {written}."
        yield finding("warns", "numbers-as-text", text, "write them as whole numbers or as text", rows)


def _quality(head: Head, layout: Layout) -> Iterator[Finding]:
    """Columns that may say which rows are bad."""
    compared = set(WINNERS) | set(LOSERS)
    for column in layout.unused:
        parts = set(words(column))
        is_rating = head.shape(column) == "number" and parts & set(RATINGS) and not parts & compared
        values = [float(x) for x in head[column].values] if is_rating else []
        if len(set(values)) > 1:
            text = f"Column {column!r} rates the rows ({min(values):g} to {max(values):g})"
            text += ", and all are trained on alike."
            yield finding("warns", "rated-rows", text, f"leave out rows with a low {column}")
        elif head.shape(column) in ("truth", "number") and column.lower() in (*QUALITY, *MARKS):
            words_of = {str(x).strip().lower() for x in head[column].values}
            false = [at for at, x in enumerate(head[column].cells) if str(x).strip().lower() in ("false", "0")]
            if false and words_of <= {"false", "true", "0", "1"}:
                text = f"Column {column!r} marks rows as {head[column].cells[false[0]]}, and they are trained on alike."
                yield finding("warns", "marked-rows", text, f"leave out rows that {column} marks", false)


def _others(head: Head, layout: Layout) -> Iterator[Finding]:
    """Rows of several layouts in one file."""
    if not layout.others:
        return
    rows = [at for at, row in enumerate(head.rows) if not any(holds(row.get(x)) for x in layout.needed)]
    columns = " and ".join(", ".join(repr(x) for x in part.needed) for part in layout.others)
    main = ", ".join(repr(x) for x in layout.needed)
    text = f"Rows of several layouts are mixed: some are read from {main}, others from {columns}."
    yield finding("notes", "mixed-layouts", text, "", rows)


def _unused(head: Head, layout: Layout) -> Iterator[Finding]:
    """Columns of text that play no part, with the mapping that would use the first of them."""
    answers = completions(head, [*layout.mapping.values()]) if "completion" in layout.mapping else []
    texts = [x for x in layout.unused if head.shape(x) in ("text", "empty", "turns", "transcript")]
    texts = [x for x in texts if not _is_rejected(x)]
    texts = [x for x in texts if not (x in answers and x.lower() not in LABELS) and not _repeats(head, layout, x)]
    texts = [x for x in texts if head.shape(x) != "empty" or not any(x in row for row in head.rows)]
    prose = [x for x in texts if head[x].is_prose or head.shape(x) != "text"]
    for severity, group in (("warns", prose), ("notes", [x for x in texts if x not in prose])):
        if group:
            listed = ", ".join(repr(x) for x in group[:12])
            subject = f"Columns {listed} are" if len(group) > 1 else f"Column {listed} is"
            yield finding(
                "warns" if severity == "warns" else "notes",
                "unused-columns",
                f"{subject} not used.",
                _use(layout, group),
            )


def _is_rejected(column: str) -> bool:
    return not {"rejected", "dispreferred", "nonpreferred"}.isdisjoint(words(column))


def _use(layout: Layout, columns: Sequence[str]) -> str:
    """Mappings that would use the columns, one a column where there is a part left for it."""
    found = [(role, column) for column in columns if (role := _role(layout, column))]
    return " or ".join(f"--mapping {role}={column}" for role, column in found[:4])


def _role(layout: Layout, column: str) -> str:
    """The part that this column could play beside the others, or instead of one of them."""
    name = column.lower().strip()
    if is_identifier(column):
        return ""
    if name in ALIASES["system"] or set(PERSONAS) & set(words(column)):
        return "system" if layout.kind != "text" else "text"
    if layout.kind == "text":
        return "text"
    if name in ALIASES["messages"]:
        return "messages"
    if "completion" not in layout.mapping:
        return "system"
    if set(ANSWERS) & set(words(column)):
        return "completion"
    return "thinking" if THINKING.search(name) else "input"


def _repeats(head: Head, layout: Layout, column: str) -> bool:
    """The column only repeats what is used: it is part of it, or it is the whole of it, already rendered."""
    rows = [row for row in head.rows if isinstance(row.get(column), str) and row[column].strip()][:COMPARED_ROWS]
    used = [*layout.mapping.values()]
    same = 0
    for row in rows:
        texts = [text for name in used for text in _texts(row.get(name))]
        own = row[column].strip()
        same += any(own in text for text in texts) or all(text in own for text in texts if text)
    return bool(rows) and same >= 0.9 * len(rows)


def _texts(value: object) -> list[str]:
    turns = turns_of(value)
    if turns is None:
        return [str(value).strip()] if holds(value) else []
    return [said.strip() for turn in turns for said in turn.values() if isinstance(said, str) and len(said) > 9]
