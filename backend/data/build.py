"""One row to one example: Alpaca, ShareGPT, OpenAI messages, prompt and completion, plain text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from backend.data.conversation import Conversation, Example, Message, Text
from backend.data.layout.head import holds
from backend.data.layout.kinds import Layout
from backend.data.layout.media import refuse_mark, refuse_media
from backend.data.objectives import mark
from backend.data.row import GOES_ON, Value
from backend.data.turns.calls import tools_of, written_calls
from backend.data.turns.cells import decoded, shown, texts_of, turns_of
from backend.data.turns.faults import LeftOut, RowError
from backend.data.turns.parts import one_text, text_of
from backend.data.turns.transcript import is_transcript, turns_of_transcript
from backend.data.turns.turns import joined_calls, joined_thoughts, messages_of, turns_in


def build(row: Value, number: int, found: Layout) -> Example | LeftOut:
    """One row as an example, or why it is left out. UserError if the user has to decide (images)."""
    built = _built(row, number, found)
    if found.worse is None or not isinstance(built, Conversation):
        return built
    return _unpaired(built, _built(row, number, found.worse)) or built


def _unpaired(better: Conversation, worse: Example | LeftOut) -> LeftOut | None:
    """Why two answers are not a pair: they must differ in their last turn and in nothing else."""
    number = better.row
    if not isinstance(worse, Conversation):
        return LeftOut("preference-rows", number, worse.text if isinstance(worse, LeftOut) else f"row {number}")
    first, second = ([(x.role, x.content, x.extra) for x in one.messages] for one in (better, worse))
    if first == second:
        return LeftOut("preference-rows", number, f"row {number} has the same answer twice")
    if first[:-1] != second[:-1]:
        what = f"row {number} has other turns before the better answer than before the worse one"
        return LeftOut("prompts-differ", number, what)
    return None


def _built(row: Value, number: int, found: Layout) -> Example | LeftOut:
    if found.others:
        found = _own_layout(row, found)
    if found.media:
        refuse_media(row, number, found.media)
    if reason := _by_mark(row, found):
        column = found.verdict or found.marks
        return LeftOut(reason, number, f"row {number} has {column} {row.get(column)!r}")
    try:
        return BUILDERS[found.kind](row, number, found)
    except RowError as error:
        return LeftOut("unreadable-rows", number, str(error))


def _by_mark(row: Value, found: Layout) -> Literal["undesired-rows", "unmarked-rows"] | None:
    """Why the mark of good or bad leaves the row out."""
    if found.verdict and holds(cell := row.get(found.verdict)):
        is_good = mark(cell)
        return "unmarked-rows" if is_good is None else None if is_good else "undesired-rows"
    return "unmarked-rows" if found.marks and mark(row.get(found.marks)) is None else None


def _own_layout(row: Value, found: Layout) -> Layout:
    """The first layout with a column that this row fills; the main one if there is none."""
    layouts = (found, *found.others)
    return next((x for x in layouts if any(holds(row.get(column)) for column in x.needed)), found)


def _pair(row: Value, number: int, found: Layout) -> Example | LeftOut:
    """Alpaca, and prompt with completion: texts, or lists of turns."""
    mapping = found.mapping
    prompt = _cell(row, mapping["prompt"], number)
    completion = _cell(row, mapping["completion"], number)
    if found.is_rendered:
        prompt = _open_transcript(prompt, number, mapping["prompt"])
    if "tools" in mapping and (calls := written_calls(completion, f"row {number}: {mapping['completion']!r}")[0]):
        completion = [{"role": "assistant", "content": None, "tool_calls": calls}]
    asked = _turns(prompt, number, mapping["prompt"], "user")
    answer = _turns(completion, number, mapping["completion"], "assistant")
    if len(answer) > 1 and [x[:2] for x in answer[: len(asked)]] == [x[:2] for x in asked]:
        answer = answer[len(asked) :]  # preference data repeats the prompt in `chosen`
    if "input" in mapping and asked and (context := _text(row, "input", number, mapping).strip()):
        asked[-1] = asked[-1]._replace(content="\n".join(x for x in (asked[-1].content, context) if x))
    if not any(x.content.strip() for x in asked):
        return LeftOut("rows-without-question", number, f"row {number} has nothing in {mapping['prompt']!r}")
    if "thinking" in mapping and answer:
        answer[0] = _with_thinking(answer[0], _text(row, "thinking", number, mapping))
    if len(asked) > 1 or asked[0].scored:
        asked = [x._replace(scored=False) if x.scored else x for x in asked]
    messages = asked + answer
    if "history" in mapping:
        messages = _without_question(_history(row, number, mapping), asked) + messages
    if "system" in mapping and messages[0].role != "system":
        messages = _system(row, number, mapping) + messages
    return _conversation(messages, row, number, found, mapping["completion"])


def _messages(row: Value, number: int, found: Layout) -> Example | LeftOut:
    """OpenAI messages and ShareGPT: a list of turns, or a text that holds one."""
    mapping = found.mapping
    column = mapping["messages"]
    value = _cell(row, column, number)
    if not holds(value):
        return LeftOut("empty-rows", number, f"row {number} has nothing in {column!r}")
    turns = _list_of_turns(value, number, column)
    messages = _read(turns, f"row {number}, turn")
    if "system" in mapping and messages[0].role != "system":
        messages = [*_system(row, number, mapping), *messages]
    if not found.is_said and not any(x.content.strip() for x in messages if x.role != "assistant"):
        return LeftOut("rows-without-question", number, f"row {number} has no question in {column!r}")
    return _conversation(messages, row, number, found, column, turns)


def _document(row: Value, number: int, found: Layout) -> Example | LeftOut:
    """Plain text."""
    column = found.mapping["text"]
    text = text_of(_cell(row, column, number), f"row {number}: {column!r}")
    if not text.strip():
        return LeftOut("empty-rows", number, f"row {number} has nothing in {column!r}")
    return Text(text, number, GOES_ON not in row)


BUILDERS: dict[str, Callable[[Value, int, Layout], Example | LeftOut]] = {
    "alpaca": _pair,
    "prompt-completion": _pair,
    "messages": _messages,
    "sharegpt": _messages,
    "text": _document,
}


def _conversation(
    messages: list[Message], row: Value, number: int, found: Layout, column: str, turns: Any = ()
) -> Conversation | LeftOut:
    """The conversation up to the last turn that is trained on, or why no turn is."""
    for role, content, *_ in messages:
        if "<" in content and role != "assistant":
            refuse_mark(content, f"row {number}", found.has_media_marks)
    last = len(messages)
    while last and not messages[last - 1].scored:
        last -= 1
    if not last:
        if any(x.role == "assistant" and (x.content.strip() or x.extra.get("tool_calls")) for x in messages):
            what = f"row {number} has only answers in {column!r} that are marked as not to be trained on"
            return LeftOut("unscored-rows", number, what)
        return LeftOut("empty-rows", number, f"row {number} has no answer in {column!r}")
    tools = tools_of(row.get(found.mapping["tools"]), f"row {number}") if "tools" in found.mapping else ()
    tools = tools or (_tools_of_turns(turns, number) if turns else ())
    used = messages if last == len(messages) else messages[:last]
    return Conversation(tuple(joined_calls(used) if last > 2 else used), tools, number)


def _tools_of_turns(turns: Sequence[Any], number: int) -> tuple[Mapping[str, Any], ...]:
    """Tools that are listed in a turn: those of the first turn that has any."""
    for at, turn in enumerate(turns, 1):
        if type(turn) is dict and turn.get("tools") and (tools := tools_of(turn["tools"], f"row {number}, turn {at}")):
            return tools
    return ()


def _cell(row: Value, column: str, number: int) -> Any:
    try:
        return row[column]
    except KeyError:
        has = ", ".join(str(key) for key in row) or "nothing"
        raise RowError(f"row {number} has no {column!r} (it has {has}); add it or remove that row") from None


def _text(row: Value, role: str, number: int, mapping: Mapping[str, str]) -> str:
    return text_of(row.get(mapping[role]), f"row {number}: {mapping[role]!r}") if role in mapping else ""


def _read(turns: list[Mapping[str, Any]], where: str) -> list[Message]:
    messages: list[Message] = []
    for at, turn in enumerate(turns, 1):
        messages += messages_of(turn, f"{where} {at}")
    return joined_thoughts(messages)


def _list_of_turns(value: Any, number: int, column: str) -> list[Mapping[str, Any]]:
    turns = turns_of(value)
    if turns is not None:
        return turns
    if is_transcript(value):
        return turns_of_transcript(value, f"row {number}: {column!r}")
    if texts := texts_of(value):
        return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
    listed = decoded(value)
    if isinstance(listed, list) and any(isinstance(x, Mapping) for x in listed):
        return listed  # the error then names the item that is not a turn
    what = f"row {number}: {column!r} holds no list of turns ({shown(value)})"
    raise RowError(f"{what}; write it as a list of objects with role and content")


def _turns(value: Any, number: int, column: str, role: str) -> list[Message]:
    if type(value) is str and value[:1] not in "[{ \n":
        return [Message(role, value, role == "assistant" and bool(value.strip()))]
    turns = turns_in(value, keyed_text=False)
    if turns is not None:
        return joined_calls(_read(turns, f"row {number}, {column!r} turn"))
    text = one_text(value, f"row {number}: {column!r}")
    return [Message(role, text, role == "assistant" and bool(text.strip()))]


def _open_transcript(value: Any, number: int, column: str) -> Any:
    """A prompt that ends where the answer begins, as turns."""
    turns = turns_of_transcript(value, f"row {number}: {column!r}") if isinstance(value, str) else value
    return turns[:-1] if turns and turns[-1]["role"] == "assistant" and not turns[-1]["content"] else turns


def _with_thinking(answer: Message, thought: str) -> Message:
    if answer.role != "assistant" or not thought.strip():
        return answer
    return answer._replace(extra={**answer.extra, "reasoning_content": thought})


def _system(row: Value, number: int, mapping: Mapping[str, str]) -> list[Message]:
    text = _text(row, "system", number, mapping)
    return [Message("system", text.removeprefix("SYSTEM: "))] if text.strip() else []


def _without_question(said: list[Message], asked: Sequence[Message]) -> list[Message]:
    """What was said before, if it ends with the question itself."""
    return said[:-1] if said and said[-1][:2] == asked[0][:2] else said


def _history(row: Value, number: int, mapping: Mapping[str, str]) -> list[Message]:
    """Alpaca's earlier turns: a list of [question, answer], or of turns with a role each."""
    turns: list[Message] = []
    said_before = row.get(mapping["history"])
    pairs = decoded(said_before) if holds(said_before) else []
    if (said := turns_of(pairs)) is not None:
        return joined_calls(_read(said, f"row {number}, {mapping['history']!r} turn"))
    if not isinstance(pairs, list | tuple):
        raise RowError(f"row {number}: {mapping['history']!r} is no list of questions and answers ({shown(pairs)})")
    for at, pair in enumerate(pairs, 1):
        where = f"row {number}, {mapping['history']!r} entry {at}"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowError(f"{where} is no pair of question and answer ({shown(pair)}); correct it")
        answer = text_of(pair[1], where)
        turns += [Message("user", text_of(pair[0], where)), Message("assistant", answer, bool(answer.strip()))]
    return turns
