"""The sentences that ask which column is which, where the data does not say."""

from __future__ import annotations

from collections.abc import Sequence

from backend.data.cells import shown, turns_of
from backend.data.head import Head
from backend.data.names import LOSERS, RATINGS, is_identifier, named, preference, words
from backend.data.turns import messages_of
from backend.errors import UserError

QUESTIONS = ("instruction", "prompt", "question", "query", "problem", "prompts", "questions")
"""Names of columns that hold questions, never documents."""


def classes(head: Head, prompt: str, label: str) -> UserError:
    """The error of classes that are numbers: a model can't tell what they mean."""
    seen = ", ".join(sorted({shown(x) for x in head[label].values})[:4])
    as_they_are = f"--mapping prompt={prompt} --mapping completion={label}"
    what = f"column {label!r} holds numbers for classes ({seen}), which say nothing to a model"
    alone = f", or on the texts alone with --mapping text={prompt}" if head.shape(prompt) == "text" else ""
    return UserError(f"{what}; write their names, or train on them as they are with {as_they_are}{alone}", "data")


def unknown(head: Head, said: dict[str, str]) -> UserError:
    """The error of columns that play no part that is known, with a mapping that could be meant."""
    field = "mapping" if said else "data"
    if not said and (known := _half(head)) is not None:
        return UserError(known, "data")
    listed = ", ".join(head.columns[:8])
    what = f"no prompt and answer, messages or text was found among the columns ({listed})"
    mapping = _example(head, said)
    if not mapping:
        return UserError(f"{what}; say which is which with --mapping role=column", field)
    say = " ".join(f"--mapping {role}={column}" for role, column in mapping.items())
    return UserError(f"{what}; say which is which: {say}", field)


def _half(head: Head) -> str | None:
    """Why data of a known shape can't be trained on: it has only questions, or only answers."""
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
        fix = f"add the questions, or train on the answers alone with --mapping messages={column}"
        return f"column {column!r} has assistant turns but no user turn in row 1 or any row after it; {fix}"
    if prompt and prompt.lower() in QUESTIONS and len(_texts(head)) == 1:
        fix = f"add a column of answers, or train on the prompts as plain text with --mapping text={prompt}"
        return f"there are only prompts (column {prompt!r}) and no answers to learn; {fix}"
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
    from backend.data.columns import spoken

    return any(role in spoken(turns) for turns in head[column].turns)


def _example(head: Head, said: dict[str, str]) -> dict[str, str]:
    """A whole mapping that could be meant, with what was said in it: the longest text as the answer."""
    pair = preference(head.columns)
    free = [x for x in _texts(head) if x not in said.values() and not (pair and x == pair[1])]
    needed = [role for role in ("prompt", "completion") if role not in said]
    if len(free) < len(needed):
        return {"text": free[0]} if free and not said and not pair else {}
    if len(needed) < 2:
        return said | dict(zip(needed, free, strict=False))
    answer = pair[0] if pair and pair[0] in free else max(free, key=lambda x: (head[x].mean, free.index(x)))
    questions = [x for x in free if x != answer]
    return {"prompt": named(questions, "prompt") or questions[0], "completion": answer}


def _texts(head: Head) -> Sequence[str]:
    """Columns of text that are no identifiers, ratings or the like; of those with sentences, if there are any."""
    texts = head.of_shape("text", "turns", "transcript")
    texts = [x for x in texts if not is_identifier(x) and not set(words(x)) & set(RATINGS)]
    return [x for x in texts if head.shape(x) != "text" or head[x].is_prose] or texts
