"""Which column has which role: found from names and the contents of the head, changed by `role=column`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend.data.layout import ask
from backend.data.layout.answers import completions
from backend.data.layout.head import Head, holds
from backend.data.layout.joined import joined_of
from backend.data.layout.kinds import Kind, Layout
from backend.data.layout.mapping import parse
from backend.data.layout.media import has_media_marks, media_columns
from backend.data.layout.names import ALIASES, EARLIER, LABELS, MARKS, by_names, named, preference, words
from backend.data.layout.remarks import remarks
from backend.data.row import Value
from backend.data.turns.cells import decoded, texts_of, turns_of
from backend.data.turns.turns import ROLES as SPEAKER_ROLES
from backend.data.turns.turns import spoken_in
from backend.errors import UserError

TEXTS = {"messages", "prompt", "completion", "text"}
PAIR = {"prompt", "completion", "input"}


def layout(rows: Sequence[Value], columns: Sequence[str], mapping: Sequence[str] = ()) -> Layout:
    """The layout of the head `rows` and all `columns`, found or as said.

    UserError if it can't be told (field `data`) or is wrong (`mapping`), or if only the user can decide.
    """
    head = Head(rows, columns)
    said = parse(mapping, columns)
    found = _found(head, said)
    if found is None:
        raise ask.unknown(head, said)
    is_said = not said.keys().isdisjoint(TEXTS)
    media = () if is_said else media_columns(head)
    pair = preference(head.columns)
    if pair is not None and pair[1] in found.mapping.values():
        pair = None
    found = replace(
        found,
        media=media,
        has_media_marks=has_media_marks(head),
        preference=pair,
        verdict=_verdict(head, found),
        is_said=is_said,
    )
    others = () if found.kind == "text" else _others(head, found)
    found = replace(found, others=others)
    unused = tuple(x for x in head.columns if x not in _used(found))
    return replace(found, unused=unused, findings=remarks(head, replace(found, unused=unused), said))


def _used(found: Layout) -> set[str]:
    joined = {found.joined.by, found.joined.speaker, found.joined.order} if found.joined else set()
    used = {
        *found.mapping.values(),
        *(column for other in found.others for column in _used(other)),
        *joined,
        found.verdict,
    }
    return used | set(found.preference or ())


def _found(head: Head, said: dict[str, str]) -> Layout | None:
    if "text" in said:
        return Layout("text", said)
    if "messages" in said:
        return _said_conversation(head, said)
    if not PAIR & said.keys():
        ask.refuse_rivals(head)
        found = _flat(head) or _conversation(head, said)
        if found is not None:
            return found
    return _pair(head, said) or (None if said else _plain(head))


def _said_conversation(head: Head, said: dict[str, str]) -> Layout:
    column = said["messages"]
    if head.shape(column) in ("transcript", "empty"):  # an empty one comes after the head
        return _with_options("messages", column, head, said)
    if head.shape(column) != "turns" and not head[column].turns:
        if any(map(texts_of, head[column].values)):
            return _with_options("messages", column, head, said)
        what = f"column {column!r} holds no turns with role and content (or from and value)"
        raise UserError(f"{what}; map messages to another column", "mapping")
    return _with_options(_kind(head, column), column, head, said)


def _flat(head: Head) -> Layout | None:
    """Each row is one turn: a column of speakers beside one of texts."""
    if head.of_shape("turns"):
        return None
    joined = joined_of(head, SPEAKER_ROLES)
    if joined is None:
        return None
    mapping = {"messages": joined.content} | _optional(head, ("system", "tools"), {})
    return Layout("sharegpt" if joined.speaker == "from" else "messages", mapping, joined=joined)


def _conversation(head: Head, said: dict[str, str]) -> Layout | None:
    worse = (preference(head.columns) or ("", ""))[1]
    for column in _ordered(head.columns, "messages"):
        if column == worse or _is_history(head, column):
            continue
        is_usual = column.lower() in ALIASES["messages"]
        if head.shape(column) == "transcript" and (is_usual or column == (preference(head.columns) or ("",))[0]):
            return _with_options("messages", column, head, said)
        if head.shape(column) == "turns" and _is_whole(head, column) and not _is_answered_elsewhere(head, column):
            return _with_options(_kind(head, column), column, head, said)
    return None


def _is_history(head: Head, column: str) -> bool:
    """Whether its name says that it holds the turns before the question and answer of two other columns."""
    if not _is_called_earlier(column):
        return False
    asked = named([x for x in head.columns if x != column], "prompt")
    answers = completions(head, [column, asked]) if asked else []
    return bool(asked and answers) and not _ends_with(head, column, str(asked), answers[0])


def _ends_with(head: Head, column: str, asked: str, answer: str) -> bool:
    """Whether the turns of most rows end with the question and the answer of these columns."""
    rows = [(turns_of(row.get(column)) or [], row) for row in head.rows if holds(row.get(answer))]
    same = (
        len(turns) > 1 and row.get(asked) in turns[-2].values() and row[answer] in turns[-1].values()
        for turns, row in rows
    )
    return 2 * sum(same) > len(rows)


def _is_whole(head: Head, column: str) -> bool:
    """Whether this one column holds question and answer, rather than only the prompt or the completion of a pair."""
    prompt = named(head.columns, "prompt")
    if column == prompt and completions(head, [column]):
        return False
    if prompt and named([column], "completion") and _begins_with_answers(head, column):
        return False
    return any(
        {"user", "assistant"} <= spoken_in(turns) or {"system", "assistant"} <= spoken_in(turns)
        for turns in head[column].turns
    )


def _begins_with_answers(head: Head, column: str) -> bool:
    starts = [spoken_in(turns[:1]) for turns in head[column].turns]
    return 2 * sum(role == {"assistant"} for role in starts) > len(starts)


def _is_answered_elsewhere(head: Head, column: str) -> bool:
    """Whether its conversations end before the answer, which is in another column."""
    return bool(completions(head, [column])) and _is_open(head, column)


def _is_open(head: Head, column: str) -> bool:
    ends = [spoken_in(turns[-1:]) for turns in head[column].turns]
    return 2 * sum(role != {"assistant"} for role in ends) > len(ends) > 0


def _kind(head: Head, column: str) -> Kind:
    first = head[column].turns[0][0]
    return "sharegpt" if "from" in first and "role" not in first else "messages"


def _with_options(kind: Kind, column: str, head: Head, said: dict[str, str]) -> Layout:
    return Layout(kind, {"messages": column} | _optional(head, ("system", "tools"), said))


def _pair(head: Head, said: dict[str, str]) -> Layout | None:
    taken = list(said.values())
    prompt = said.get("prompt") or _prompt(head, taken)
    answers = [said["completion"]] if "completion" in said else completions(head, [*taken, prompt or ""])
    if answers and prompt is None:
        prompt = _text_as_prompt(head, [*taken, *answers])
    elif answers and "completion" not in said and answers[0].lower() in LABELS[3:]:
        answers = []  # classes of a text, not answers to a question
    if prompt is None or not answers:
        return None
    completion = answers[0]
    if "completion" not in said and completion.lower() in LABELS and head.shape(completion) in ("number", "truth"):
        raise ask.classes(head, prompt, completion)
    taken += [prompt, completion]
    mapping = {"prompt": prompt, "completion": completion}
    mapping |= _optional(head, ("input", "system", "history", "tools", "thinking"), said, taken)
    alpaca = prompt.lower() == "instruction" and completion.lower() == "output"
    rendered = head.shape(prompt) == "transcript"
    return Layout("alpaca" if alpaca else "prompt-completion", mapping, is_rendered=rendered)


def _prompt(head: Head, taken: Sequence[str]) -> str | None:
    """The usual name whose column holds something, else a column of conversations that end before the answer."""
    free = [x for x in head.columns if x not in taken]
    filled = [x for x in free if head.shape(x) in ("text", "turns", "number", "transcript")]
    found = named(filled, "prompt") or named(free, "prompt")
    return found or next(
        (x for x in _ordered(filled, "messages") if head.shape(x) == "turns" and _is_open(head, x)), None
    )


def _text_as_prompt(head: Head, taken: Sequence[str]) -> str | None:
    return named([x for x in head.of_shape("text") if x not in taken], "text")


def _plain(head: Head) -> Layout | None:
    texts = head.of_shape("text", "transcript")
    column = named(texts, "text")
    if column is None and texts == list(head.columns) and len(texts) == 1 and texts[0].lower() not in ask.QUESTIONS:
        column = texts[0]
    return Layout("text", {"text": column}) if column else None


def _optional(head: Head, roles: Sequence[str], said: dict[str, str], taken: Sequence[str] = ()) -> dict[str, str]:
    """Columns of the optional roles; `input` must hold text, the others go by their names."""
    chosen: dict[str, str] = {}
    for role in roles:
        free = [x for x in head.columns if x not in taken and x not in said.values()]
        if role in ("input", "system"):
            free = [
                x
                for x in free
                if head.shape(x) in ("text", "empty", "number")
                or (role == "system" and head.shape(x) in ("other", "turns"))
            ]
        column = said.get(role) or (_earlier(head, free) if role == "history" else named(free, role))
        if column:
            chosen[role] = column
    return chosen


def _earlier(head: Head, free: Sequence[str]) -> str | None:
    """The column of what was said before the question: turns, or under a usual name pairs of question and answer."""
    usual = [x for x in _ordered(free, "history") if x.lower().strip() in ALIASES["history"]]
    found = [x for x in usual if x.lower() == "history" or head.shape(x) in ("turns", "empty") or _are_pairs(head, x)]
    turns = [x for x in free if head.shape(x) == "turns" and _is_called_earlier(x)]
    return next(iter([*found, *turns]), None)


def _are_pairs(head: Head, column: str) -> bool:
    cells = list(map(decoded, head[column].values))
    return all(isinstance(x, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in x) for x in cells)


def _is_called_earlier(column: str) -> bool:
    """By its name it holds what was said before."""
    return not EARLIER.isdisjoint(words(column)) or column.lower().strip() == "context"


def _verdict(head: Head, found: Layout) -> str:
    """The column that marks answers as good or bad."""
    if found.kind == "text":
        return ""
    truths = [x for x in head.of_shape("truth") if x not in found.mapping.values()]
    return by_names(truths, MARKS) or ""


def _others(head: Head, found: Layout) -> tuple[Layout, ...]:
    """Layouts of the head's rows that have none of the columns of the layout found."""
    layouts: list[Layout] = []
    rows = head.rows
    for _ in range(3):
        needed = (layouts[-1] if layouts else found).needed
        rows = [row for row in rows if not any(holds(row.get(column)) for column in needed)]
        columns = [column for column in head.columns if any(holds(row.get(column)) for row in rows)]
        try:
            other = _found(Head(rows, columns), {}) if columns else None
        except UserError:
            return tuple(layouts)
        if other is None or other.kind == "text" or other.joined or found.joined:
            return tuple(layouts)
        layouts.append(other)
    return tuple(layouts)


def _ordered(columns: Sequence[str], role: str) -> list[str]:
    usual = [column for alias in ALIASES[role] for column in columns if column.lower() == alias]
    return usual + [column for column in columns if column not in usual]
