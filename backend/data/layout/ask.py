"""The errors that ask the user which column is which, if the data does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.data.layout.head import Head
from backend.data.layout.mapping import option
from backend.data.layout.names import (
    ALIASES,
    ANSWERS,
    LABELS,
    LOSERS,
    RATINGS,
    is_identifier,
    named,
    preference,
    rivals,
    words,
)
from backend.data.turns.cells import decoded, has_sentence, shown, speaker_key, texts_of, turns_of
from backend.data.turns.turns import messages_of, spoken_in
from backend.errors import UserError

QUESTIONS = ("instruction", "prompt", "question", "query", "problem", "prompts", "questions")
"""Names of columns that hold questions, never documents."""


LONGEST_CATEGORY = 40
"""Mean characters of the texts of a column that sorts the rows."""
TOKENS = ("input_ids", "token_ids", "tokens")
"""Names of columns that hold texts already tokenised."""


def classes(head: Head, prompt: str, label: str) -> UserError:
    """The error for classes that are numbers, whose meaning a model can't know."""
    seen = ", ".join(sorted({shown(x) for x in head[label].values})[:4])
    as_they_are = f"{option('prompt', prompt)} {option('completion', label)}"
    kind = "truth values" if head.shape(label) == "truth" else "numbers"
    what = f"column {label!r} holds {kind} for classes ({seen}), which say nothing to a model"
    alone = f", or on the texts alone with {option('text', prompt)}" if head.shape(prompt) == "text" else ""
    return UserError(f"{what}; write their names, or train on them as they are with {as_they_are}{alone}", "data")


def refuse_rivals(head: Head) -> None:
    """Raise UserError (field `data`) if each row has two answers and neither is named as the better one."""
    pair = rivals(head.of_shape("text", "turns", "transcript"))
    if pair is not None:
        first, second = pair
        what = (
            f"columns {first!r} and {second!r} hold two answers to one question, and no name says which one is better"
        )
        fix = f"write the better ones to one column, or train on one of them with {_one_of_two(head, first, second)}"
        raise UserError(f"{what}; {fix}", "data")


def _one_of_two(head: Head, first: str, second: str) -> str:
    """A mapping that trains on the first of two answers."""
    if any("user" in spoken_in(turns) for turns in head[first].turns):
        return option("messages", first)
    others = [x for x in _texts(head) if x not in (first, second)]
    question = named(others, "prompt") or next(iter(others), None)
    asked = f"{option('prompt', question)} " if question else ""
    return asked + option("completion", first)


def unknown(head: Head, said: dict[str, str]) -> UserError:
    """The error of columns that play no part that is known, with a mapping that could be meant."""
    field = "mapping" if said else "data"
    if not said and (known := _half(head)) is not None:
        return UserError(known, "data")
    if not head.columns:
        return UserError("the rows are empty objects, {}: they hold nothing to learn; choose other data", field)
    listed = ", ".join(head.columns[:8])
    what = f"no prompt and answer, messages or text was found among the columns ({listed})"
    mapping = _example(head, said)
    if not mapping:
        return UserError(f"{what}; say which is which with --mapping role=column", field)
    say = " ".join(option(role, column) for role, column in mapping.items())
    return UserError(f"{what}; say which is which: {say}", field)


def _half(head: Head) -> str | None:
    """Why data of a known shape can't be trained on: it has only questions, or only answers."""
    pair = preference(head.columns)
    if pair is not None and set(_texts(head)) <= set(pair):
        role = "messages" if head.shape(pair[0]) == "turns" else "text"
        what = f"columns {pair[0]!r} and {pair[1]!r} hold the better and the worse answers, and no column the questions"
        return f"{what}; add a column of questions, or train on the answers alone with {option(role, pair[0])}"
    if tokens := next((x for x in head.of_shape("other") if x.lower() in TOKENS and _are_ids(head[x].values[0])), None):
        return f"column {tokens!r} holds token ids of another run; give the texts they were made from"
    for column in head.of_shape("other"):
        if column.lower() in ALIASES["messages"] and (item := _without_speaker(head[column].values)) is not None:
            what = f"column {column!r} holds {shown(item)}, which does not say who speaks"
            return f"{what}; write each turn as an object with role and content (or from and value)"
        may_be_turns = column.lower() in ALIASES["messages"] or named(_texts(head), "prompt") is None
        if may_be_turns and 2 * sum(map(bool, map(texts_of, head[column].values))) > len(head[column].values):
            what = f"column {column!r} holds lists of texts that don't say who speaks"
            return f"{what}; if questions and answers alternate in them, say {option('messages', column)}"
    turns = [x for x in head.of_shape("turns") if not set(words(x)) & set(LOSERS)]
    prompt = named(head.of_shape("text"), "prompt")
    if turns and not any(_has(head, column, "assistant") for column in turns):
        column = turns[0]
        if fault := _first_fault(head, column):
            return fault
        rows = f"the first {len(head.rows):,} rows" if len(head.rows) > 1 else "the first row"
        return f"column {column!r} has no assistant turn in {rows}, so there is no answer to learn; add the answers"
    if turns and named(turns, "messages"):
        column = turns[0]
        fix = f"add the questions, or train on the answers alone with {option('messages', column)}"
        return f"column {column!r} has assistant turns but no user turn in row 1 or any row after it; {fix}"
    sorting = [x for x in _texts(head) if _sorts_rows(head, x)]
    if prompt and prompt.lower() in QUESTIONS and set(_texts(head)) - {*sorting} == {prompt}:
        as_text = f"train on the prompts as plain text with {option('text', prompt)}"
        if inner := _with_texts_inside(head):
            what = f"column {prompt!r} holds prompts, and no column holds answers as texts; if they are in {inner!r}"
            return f"{what}, write one of them for each row to a column answer; or {as_text}"
        what = f"there are only prompts (column {prompt!r}) and no answers to learn"
        if sorting:
            what += f", unless those of {sorting[0]!r} are, which come again and again"
            as_text += f", or on both with {option('prompt', prompt)} {option('completion', sorting[0])}"
        return f"{what}; add a column of answers, or {as_text}"
    if (
        len(_texts(head)) < 2
        and not any(head[x].is_prose for x in _texts(head))
        and (inner := _with_texts_inside(head))
    ):
        what = f"column {inner!r} holds lists or objects ({shown(head[inner].values[0])}), which are no texts"
        return f"{what}; write question and answer to columns of their own, such as prompt and completion"
    return None


def _sorts_rows(head: Head, column: str) -> bool:
    """Few short texts, each of several rows, under a name that says nothing of answers: such as a level or a topic."""
    if not set(words(column)).isdisjoint(ANSWERS) or column.lower() in LABELS:
        return False
    values = head[column].values
    return head[column].mean <= LONGEST_CATEGORY and 2 * len(set(map(str, values))) <= len(values)


def _with_texts_inside(head: Head) -> str | None:
    """A column of lists or objects, most of which hold sentences."""
    for column in head.of_shape("other"):
        values = head[column].values
        if 2 * sum(map(has_sentence, values)) > len(values):
            return column
    return None


def _are_ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(x) is int for x in value)


def _without_speaker(values: Sequence[object]) -> object:
    """The first item of a list of turns that is not a turn; None if the values are not such lists."""
    for value in map(decoded, values):
        listed = [value] if isinstance(value, Mapping) else value
        if isinstance(listed, list) and any(isinstance(x, Mapping | list) for x in listed):
            return next((x for x in listed if not isinstance(x, Mapping) or not speaker_key(x)), None)
    return None


def _first_fault(head: Head, column: str) -> str | None:
    """What is wrong with the first turn that can't be read."""
    for number, cell in enumerate(head[column].cells, 1):
        for at, turn in enumerate(turns_of(cell) or [], 1):
            try:
                messages_of(turn, f"row {number}, turn {at}")
            except UserError as error:
                return str(error)
    return None


def _has(head: Head, column: str, role: str) -> bool:
    return any(role in spoken_in(turns) for turns in head[column].turns)


def _example(head: Head, said: dict[str, str]) -> dict[str, str]:
    """A whole mapping that could be meant, with what was said in it: the longest text as the answer."""
    pair = preference(head.columns)
    free = [x for x in _texts(head) if x not in said.values() and not (pair and x == pair[1])]
    needed = [role for role in ("prompt", "completion") if role not in said]
    if len(free) < len(needed):
        can_be_text = free and not said and not pair and head[free[0]].is_prose
        return {"text": free[0]} if can_be_text else {}
    if len(needed) < 2:
        return said | dict(zip(needed, free, strict=False))
    question = named(free, "prompt") or next((x for x in free if not set(QUESTIONS).isdisjoint(words(x))), None)
    left = [x for x in free if x != question]
    called_so = [x for x in left if not set(ANSWERS).isdisjoint(words(x))]
    longest = max(called_so or left, key=lambda x: head[x].mean)
    if pair and pair[0] in left:
        answer = pair[0]
    elif called_so or question or 2 * head[longest].mean > 3 * max(head[x].mean for x in left if x != longest):
        answer = longest
    else:
        answer = left[1]
    return {"prompt": question or next(x for x in left if x != answer), "completion": answer}


def _texts(head: Head) -> Sequence[str]:
    """Columns of text other than identifiers, ratings and the like; only those with sentences, if there are any."""
    texts = head.of_shape("text", "turns", "transcript")
    texts = [x for x in texts if not is_identifier(x) and not set(words(x)) & set(RATINGS)]
    sentences = [x for x in texts if head.shape(x) != "text" or head[x].is_prose] or texts
    may_answer = [*texts, *head.of_shape("number", "truth")]
    answers = [x for x in may_answer if not set(ANSWERS).isdisjoint(words(x)) and not is_identifier(x)]
    return [x for x in head.columns if x in sentences or x in answers]
