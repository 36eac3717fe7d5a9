"""Columns of text that have no role, and the mappings that would use them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.data.finding import Finding, finding
from backend.data.layout.answers import completions
from backend.data.layout.ask import QUESTIONS
from backend.data.layout.head import Head, holds
from backend.data.layout.kinds import Layout
from backend.data.layout.mapping import option
from backend.data.layout.names import (
    ABOUT_AN_ANSWER,
    ALIASES,
    ANSWERS,
    DEFECTS,
    ENDINGS,
    GOOD_MARKS,
    LABELS,
    MARKS,
    PERSONAS,
    QUALITY,
    SPLITS,
    THINKING,
    WEIGHTS,
    is_about_answers,
    is_identifier,
    named,
    words,
)
from backend.data.layout.quality import is_class_of_quality
from backend.data.turns.calls import are_tools
from backend.data.turns.cells import has_sentence, texts_of, turns_of
from backend.data.turns.turns import FLAGS, MASKS, spoken_in

SHORT = 9
"""The most characters of a text, such as a role, that another text may contain by chance."""
MARKS_OF_TURNS = (*FLAGS, *MASKS, "weights", "loss_masks", "loss_weights", "masks", "train_mask", "assistant_masks")
"""Columns that may say of each turn whether it is trained on."""
MARKS_OF_ROWS = frozenset({*MARKS, *QUALITY, *GOOD_MARKS, *DEFECTS, *WEIGHTS, *SPLITS, *ENDINGS}) - {"set", "label"}
"""Columns that tell something about a row, which is no part of it."""
BESIDE_TURNS = ("chat_template_kwargs", "documents", "docs", "contexts", "context", "passages", "input")
"""Columns whose objects a chat template or a question would need."""
OF_ROWS = frozenset({"tags", "keywords", "topics", "categories", "skills", "models", "policies", "order"})
"""Words in the names of lists that sort the rows, or say from where they come."""
LONGEST_CATEGORY, ROWS_OF_A_CATEGORY = 40, 10
"""Mean characters of a category, and how many rows have the same one at least, on average."""
COMPARED_ROWS = 50
"""Rows in which a column that is not used is compared with what is used."""


def unused(head: Head, layout: Layout) -> Iterator[Finding]:
    """Columns of text that play no part, with the mapping that would use the first of them."""
    answers = completions(head, [*layout.mapping.values()]) if "completion" in layout.mapping else []
    texts = [x for x in layout.unused if head.shape(x) in ("text", "empty", "turns", "transcript")]
    texts += [x for x in layout.unused if head.shape(x) == "other" and any(map(texts_of, head[x].values))]
    texts += [x for x in layout.unused if head.shape(x) == "other" and x not in texts and _says_much(head, layout, x)]
    texts = [x for x in texts if not is_about_answers(x)]
    texts = [x for x in texts if not is_rejected(x) and not is_class_of_quality(head, x) and x.lower() not in SPLITS]
    texts = [x for x in texts if not (x in answers and x.lower() not in LABELS) and not _repeats(head, layout, x)]
    texts = [x for x in texts if head.shape(x) != "empty" or not any(x in row for row in head.rows)]
    yield from _marks_of_turns(head, layout)
    prose = [x for x in texts if _is_weighty(head, layout, x)]
    for severity, group in (("warns", prose), ("notes", [x for x in texts if x not in prose])):
        if group:
            listed = ", ".join(repr(x) for x in group[:12])
            subject = f"Columns {listed} are" if len(group) > 1 else f"Column {listed} is"
            yield finding(
                "warns" if severity == "warns" else "notes",
                "unused-columns",
                f"{subject} not used.",
                _use(head, layout, group),
            )


def _marks_of_turns(head: Head, layout: Layout) -> Iterator[Finding]:
    """Columns that say of each turn whether it is trained on, in a list."""
    for column in layout.unused:
        if column.lower() in MARKS_OF_TURNS and any(isinstance(x, list) for x in head[column].values):
            text = f"Column {column!r} holds a list for each row, which is not used: all answers are trained on."
            yield finding("warns", "marks-of-turns", text, "write `train: true` or `train: false` into each turn")


def _says_much(head: Head, layout: Layout, column: str) -> bool:
    """Objects with sentences in them, tools, or choices for the chat template."""
    if column.lower() in BESIDE_TURNS or _are_tools(head, layout, column):
        return True
    values = head[column].values[:COMPARED_ROWS]
    return 2 * sum(map(has_sentence, values)) > len(values)


def _is_weighty(head: Head, layout: Layout, column: str) -> bool:
    """Whether the column's contents would be learned, or would change what is learned."""
    if head.shape(column) == "text":
        return head[column].is_prose and not is_identifier(column) and not _is_category(head, column)
    if head.shape(column) != "other":
        return True
    if not OF_ROWS.isdisjoint(words(column)):
        return False
    if _are_single_texts(head, column) and THINKING.search(column.lower()):
        return True
    is_listed = column.lower() in BESIDE_TURNS or any(map(texts_of, head[column].values))
    return is_listed or _are_tools(head, layout, column)


def _are_single_texts(head: Head, column: str) -> bool:
    """Each cell is a list of one text, which is read as that text."""
    return all(isinstance(x, list) and len(x) == 1 and isinstance(x[0], str) for x in head[column].values)


def _is_category(head: Head, column: str) -> bool:
    """A few short texts that come again and again, such as the topics of the rows."""
    values = head[column].values
    return (
        bool(values)
        and head[column].mean <= LONGEST_CATEGORY
        and len(set(map(str, values))) * ROWS_OF_A_CATEGORY <= len(values)
    )


def _are_tools(head: Head, layout: Layout, column: str) -> bool:
    """The column describes tools, and no other one does."""
    if "tools" in layout.mapping or layout.kind == "text" or head.shape(column) not in ("other", "text"):
        return False
    values = head[column].values[:COMPARED_ROWS]
    return 2 * sum(map(are_tools, values)) > len(values)


def is_rejected(column: str) -> bool:
    """By its name the column holds rejected answers."""
    return not {"rejected", "dispreferred", "nonpreferred"}.isdisjoint(words(column))


def _use(head: Head, layout: Layout, columns: Sequence[str]) -> str:
    """Mappings that would use the columns, one for each column for which a role is left."""
    pair = _pair_beside_turns(head, layout, columns)
    found = [_pair_option(*pair)] if pair else []
    found += [mapping for x in columns if x not in (pair or ()) and (mapping := _mapping(head, layout, x))]
    return " or ".join(found[:3])


def _pair_beside_turns(head: Head, layout: Layout, columns: Sequence[str]) -> tuple[str, str] | None:
    """The columns of a question and its answer, if turns of another column are read instead of them."""
    if "messages" not in layout.mapping:
        return None
    texts = [x for x in columns if head.shape(x) == "text"]
    question = next((x for x in texts if x.lower().strip() in QUESTIONS), None)
    answer = next((x for x in completions(head, [question or ""]) if x in texts and x.lower() not in LABELS), None)
    return (question, answer) if question and answer else None


def _pair_option(question: str, answer: str) -> str:
    return f"{option('prompt', question)} {option('completion', answer)}"


def _mapping(head: Head, layout: Layout, column: str) -> str:
    """A mapping that would use this column."""
    if _are_tools(head, layout, column):
        return option("tools", column)
    role = _role(layout, column)
    if head.shape(column) == "turns" and role in ("system", "input"):
        role = "messages" if _is_conversation(head, column) else ""
    is_single = head.shape(column) == "other" and _are_single_texts(head, column)
    if not role or (head.shape(column) == "other" and not (is_single and role == "thinking")):
        return ""
    is_prose = head[column].is_prose or head.shape(column) != "text"
    if role == "text" and named([column], "prompt"):
        return _pair_option(column, layout.mapping["text"])
    if role == "text" and not is_prose:
        return _pair_option(layout.mapping["text"], column)
    if role in ("input", "system", "thinking") and role in layout.mapping:
        return ""  # it would take the place of a column that is used
    if role in ("system", "thinking") and (not is_prose or _is_category(head, column)):
        return ""
    return option(role, column)


def _is_conversation(head: Head, column: str) -> bool:
    return any({"user", "assistant"} <= spoken_in(turns) for turns in head[column].turns)


def _role(layout: Layout, column: str) -> str:
    """The role that this column could have besides the others, or instead of one of them."""
    name = column.lower().strip()
    if is_identifier(column) or name in MARKS_OF_ROWS or (name in MARKS and "completion" in layout.mapping):
        return ""
    if name in ALIASES["system"] or set(PERSONAS) & set(words(column)):
        return "system" if layout.kind != "text" else "text"
    if layout.kind == "text":
        return "text"
    is_gold = {"gold", "golden"} & {*words(column)} and set(ANSWERS) & {*words(column)}
    if not ABOUT_AN_ANSWER.isdisjoint(words(column)) and not is_gold:
        return ""
    if name in ALIASES["messages"]:
        return "messages"
    is_answer = not set(ANSWERS).isdisjoint(words(column.rstrip("0123456789")))
    if "completion" not in layout.mapping:
        is_part = is_answer or named([column], "completion") or name in QUESTIONS[1:]
        return "" if is_part else "system"
    if is_answer:
        return "" if layout.preference else "completion"
    return "thinking" if THINKING.search(name) else "input"


def _repeats(head: Head, layout: Layout, column: str) -> bool:
    """The column only repeats what is used: it is part of it, or it is the whole of it, already rendered."""
    if head.shape(column) == "turns":
        return _repeats_turns(head, layout, column)
    rows = [row for row in head.rows if isinstance(row.get(column), str) and row[column].strip()][:COMPARED_ROWS]
    used = [*layout.mapping.values()]
    same = 0
    for row in rows:
        texts = [text for name in used for text in _texts(row.get(name))]
        own = row[column].strip()
        long = [text for text in texts if len(text) > SHORT]
        is_part = own in texts or any(own in text for text in long)
        same += is_part or (bool(long) and all(text in own for text in long))
    return bool(rows) and same >= 0.9 * len(rows)


def _repeats_turns(head: Head, layout: Layout, column: str) -> bool:
    """Whether every text of its turns is among those of the used columns."""
    rows = [row for row in head.rows if holds(row.get(column))][:COMPARED_ROWS]
    used = ({text for name in layout.mapping.values() for text in _texts(row.get(name))} for row in rows)
    same = sum(set(_texts(row[column])) <= texts for row, texts in zip(rows, used, strict=True))
    return bool(rows) and same >= 0.9 * len(rows)


def _texts(value: object) -> list[str]:
    turns = turns_of(value)
    if turns is None:
        return [str(value).strip()] if holds(value) else []
    return [said.strip() for turn in turns for said in turn.values() if isinstance(said, str)]
