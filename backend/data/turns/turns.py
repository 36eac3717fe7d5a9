"""Turns of every usual shape to messages: who speaks, what is said, thought and called, and what is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from backend.data.conversation import NO_EXTRA, Message
from backend.data.turns.calls import are_calls, calls_of, is_nothing, written_calls
from backend.data.turns.cells import CONTENTS, SPEAKERS, shown, turns_of
from backend.data.turns.faults import RowError
from backend.data.turns.parts import has_results, parts_of, result_text, text_of
from backend.errors import UserError

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "ai": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "tool_result": "tool",
    "ipython": "tool",
}
CALL_ROLES = ("function_call", "tool_call")
CALL_KEYS = ("tool_calls", "function_call")
OTHER_CALL_KEYS = ("function_calls", "tool_call", "toolCalls", "functionCalls", "functionCall")
"""Keys of an answer that hold its tool calls under less usual names."""
FLAGS = (
    *("weight", "loss_weight", "loss_scale", "loss_mask", "loss", "train", "trainable", "training", "is_trained"),
    *("learn", "supervised", "do_train", "should_train", "has_loss", "calculate_loss", "compute_loss"),
)
"""Keys of a turn that say whether it is trained on: 1 or true if it is."""
MASKS = ("mask", "masked", "no_loss", "ignore_loss", "skip_loss", "ignore")
"""Keys of a turn that say the opposite: true if it is not trained on."""
PARTS_MARKED = ("train_detail", "training_detail")
"""Keys of a turn that say which of its characters are trained on."""
FLAG_WORDS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
REASONING = ("reasoning_content", "thinking", "reasoning")
FUNCTIONS = "functions."
"""Before the name of a function that a turn is addressed to."""
SPEAKING = {said: role for said, role in ROLES.items() if said not in CALL_ROLES}
_EXTRA = {"name", "tool_call_id", "tool_use_id", *REASONING}
_MARKED = {*FLAGS, *MASKS, *PARTS_MARKED}


def messages_of(turn: Any, where: str) -> list[Message]:
    """One turn as messages: a question that holds tool results becomes one for each of them and each text.

    `where` names the row and the turn for a RowError.
    """
    if type(turn) is dict and isinstance(turn.get("content", turn.get("parts")), list):
        value = _content(turn, True, where)
        if has_results(value) and (role := _role(turn, where)[1]) != "assistant":
            return [_piece(kind, said, role) for kind, said in parts_of(value, where).pieces]
    return [message(turn, where)]


def message(turn: Any, where: str) -> Message:
    """One turn as one message. `where` names the row and the turn for a RowError."""
    if type(turn) is dict and len(turn) == 2:  # by far the most frequent
        said, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if type(text) is str and type(said) is str and said in SPEAKING:
            role = SPEAKING[said]
            return Message(role, text, role == "assistant" and bool(text.strip()))
    if not isinstance(turn, Mapping):
        raise RowError(f"{where} is no object with role and content ({shown(turn)}); correct or remove that row")
    said, role = _role(turn, where)
    return _message(turn, said, role, where)


def spoken_in(turns: Sequence[Mapping[str, Any]]) -> set[str]:
    """The roles of these turns."""
    said = (next((turn[key] for key in SPEAKERS if turn.get(key) is not None), "") for turn in turns)
    return {ROLES.get(str(x).strip().lower(), "") for x in said}


def turns_in(value: Any, keyed_text: bool) -> list[Mapping[str, Any]] | None:
    """The cell's turns, as `turns_of` finds them; without `keyed_text`, a text is turns only if all are whole ones.

    A text in JSON may as well be an answer, about people and their roles.
    """
    turns = turns_of(value, keyed_text)
    if turns is None or keyed_text or not isinstance(value, str):
        return turns
    is_whole = all(spoken_in([turn]) != {""} and not {*CONTENTS, "tool_calls"}.isdisjoint(turn) for turn in turns)
    return turns if is_whole else None


def joined_thoughts(messages: list[Message]) -> list[Message]:
    """A turn that is only thinking and the answer after it as one turn."""
    if not any(map(_is_thought_of, messages, messages[1:])):
        return messages
    joined = messages[:1]
    for message in messages[1:]:
        before = joined[-1]
        if _is_thought_of(before, message):
            thoughts = (x.extra.get("reasoning_content", "") for x in (before, message))
            extra = {**message.extra, "reasoning_content": "\n\n".join(filter(None, thoughts))}
            joined[-1] = message._replace(extra=extra)
        else:
            joined.append(message)
    return joined


def _is_thought_of(before: Message, message: Message) -> bool:
    if not before.extra or message.role != "assistant" or before.role != "assistant" or before.content.strip():
        return False
    return "tool_calls" not in before.extra and "reasoning_content" in before.extra


def joined_calls(messages: list[Message]) -> list[Message]:
    """Calls that follow each other without a result between them as one turn, as a model makes them."""
    if not any(map(_goes_on, messages, messages[1:])):
        return messages
    joined = messages[:1]
    for message in messages[1:]:
        before = joined[-1]
        if _goes_on(before, message):
            calls = [*before.extra.get("tool_calls", ()), *message.extra["tool_calls"]]
            text = "\n".join(x for x in (before.content, message.content) if x)
            extra = {**message.extra, **before.extra, "tool_calls": calls}
            joined[-1] = Message("assistant", text, message.scored, extra, not text)
        else:
            joined.append(message)
    return joined


def _goes_on(before: Message, message: Message) -> bool:
    """Whether both are one turn: `before` has no result yet, `message` has calls, and both or none are trained on."""
    if not message.extra or before.role != "assistant" or "tool_calls" not in message.extra:
        return False
    return before.scored == message.scored and bool("tool_calls" in before.extra or before.content.strip())


def _role(turn: Mapping[str, Any], where: str) -> tuple[str, str]:
    said = str(_first(turn, SPEAKERS, where)).strip().lower()
    role = ROLES.get(said)
    if role is None:
        known = "known are system, user, assistant, tool and their usual other names"
        raise RowError(f"{where} has the role {said!r}; {known}: rename it or remove that row")
    return said, role


def _message(turn: Mapping[str, Any], said: str, role: str, where: str) -> Message:
    calls = _calls(turn, role, where)
    value = _content(turn, bool(calls), where)
    if calls and is_nothing(value):
        value = None
    if said in CALL_ROLES:
        calls, value = written_calls(value, where)
    if role == "assistant" and isinstance(value, str) and not calls:
        calls, text, thinking = _by_channel(turn, value, where)
    elif isinstance(value, str):
        text, thinking = value, ""
    else:
        text, thinking = _said(value, role, calls, where)
    scored = role == "assistant" and bool(calls or text.strip()) and _flag(turn, where)
    is_null = bool(calls) and not text and value != ""
    return Message(role, text, scored, _extra(turn, calls, thinking), is_null)


def _calls(turn: Mapping[str, Any], role: str, where: str) -> list[dict[str, Any]]:
    """The calls under the usual keys, or else those of an answer under another name that its text does not hold."""
    calls = [call for key in CALL_KEYS if turn.get(key) for call in calls_of(turn[key], where)]
    key = None if calls or role != "assistant" else other_calls_key(turn)
    if key is None:
        return calls
    said = turn.get(content_key(turn) or "")
    calls = calls_of(turn[key], where)
    return [] if isinstance(said, str) and all(f'"{x["function"]["name"]}"' in said for x in calls) else calls


def other_calls_key(turn: Mapping[str, Any]) -> str | None:
    """The less usual key under which an answer has its tool calls."""
    return next((key for key in OTHER_CALL_KEYS if key in turn and are_calls(turn[key])), None)


def _by_channel(turn: Mapping[str, Any], text: str, where: str) -> tuple[list[dict[str, Any]], str, str]:
    """Calls, text and thinking of a text that says by its channel or recipient which of them it is, as GPT-OSS does."""
    recipient = turn.get("recipient")
    if isinstance(recipient, str) and recipient.startswith(FUNCTIONS):
        return calls_of({"name": recipient.removeprefix(FUNCTIONS), "arguments": text}, where), "", ""
    return ([], "", text) if turn.get("channel") == "analysis" else ([], text, "")


def _said(value: Any, role: str, calls: list[dict[str, Any]], where: str) -> tuple[str, str]:
    """Text and thinking of content that is no text; calls among its parts are added to `calls`."""
    if role == "tool":
        return result_text(value, where), ""
    if role != "assistant" or not isinstance(value, list):
        return text_of(value, where), ""
    parts = parts_of(value, where)
    if parts.has_results:
        raise RowError(f"{where} holds a tool's result in an answer; give it a turn of its own with the role tool")
    calls += [call for part in parts.calls for call in calls_of(part, where)]
    return parts.text, parts.thinking


def _piece(kind: str, said: Any, role: str) -> Message:
    if kind == "text":
        return Message(role, said)
    text, called, name = said
    extra = {key: value for key, value in (("tool_call_id", called), ("name", name)) if value}
    return Message("tool", text, False, extra or NO_EXTRA)


def _content(turn: Mapping[str, Any], may_lack: bool, where: str) -> Any:
    """The content of a turn; None if there is none and it `may_lack` it, having calls."""
    key = content_key(turn)
    if key is None:
        return None if may_lack else _first(turn, ("content",), where)
    return turn[key]


def content_key(turn: Mapping[str, Any]) -> str | None:
    """The first key of CONTENTS with a value, or else one that the turn has; None if it has none."""
    given = [key for key in CONTENTS if key in turn]
    filled = [key for key in given if _given(turn, key) is not None]
    return next((key for key in filled if turn[key] != ""), next(iter(filled or given), None))


def thought_of(turn: Mapping[str, Any]) -> str:
    """What was thought before answering: a text, or a list of parts that are texts."""
    return next((text for key in REASONING if (text := _thought(turn.get(key)))), "")


def _thought(value: Any) -> str:
    if isinstance(value, list):
        with suppress(UserError):  # other parts are reported as not used
            parts = parts_of(value, "")
            return parts.thinking + parts.text
    return value if isinstance(value, str) else ""


def _first(turn: Mapping[str, Any], keys: Sequence[str], where: str) -> Any:
    for key in keys:
        if turn.get(key) is not None:
            return turn[key]
    has = ", ".join(map(str, turn)) or "nothing"
    raise RowError(f"{where} has no {keys[0]!r} (it has {has}); add it or remove that row")


def is_marked_as_trained(turn: Mapping[str, Any]) -> bool:
    """A flag says that the turn, which is no answer, is trained on."""
    return any(turn.get(key) not in (None, False, 0, "") and turn[key] in (1, "1", "true") for key in FLAGS)


def _flag(turn: Mapping[str, Any], where: str) -> bool:
    """Whether an answer is trained on, by every key that says so."""
    if _MARKED.isdisjoint(turn):
        return True
    if part := next((key for key in PARTS_MARKED if turn.get(key)), None):
        what = f"{where} has {part}, which marks parts of an answer, and only whole answers can be marked"
        raise RowError(f"{what}; write `train: true` or `train: false` instead, or divide the answer")
    said = {key: _truth(turn[key], key, where) for key in FLAGS if _given(turn, key) is not None}
    for key in MASKS:
        value = _given(turn, key)
        if value is not None and not isinstance(value, bool):
            what = f"{where} has {key} {value!r}, which is read both ways"
            raise RowError(f"{what}; write `train: false` for what is not to be trained on")
        if value is not None:
            said[key] = not value
    if len(set(said.values())) > 1:
        listed = " and ".join(f"{key} {turn[key]!r}" for key in said)
        raise RowError(f"{where} has {listed}, which say opposite things; keep one of them")
    return next(iter(said.values()), True)


def _given(turn: Mapping[str, Any], key: str) -> Any:
    """The value of the key; None for the NaN of empty cells."""
    value = turn.get(key)
    return value if value == value else None


def _truth(value: Any, key: str, where: str) -> bool:
    value = FLAG_WORDS.get(value.strip().lower(), value) if isinstance(value, str) else value
    if value not in (0, 1):
        raise RowError(f"{where} has {key} {value!r}; only 0 (not trained on) and 1 (trained on) are known")
    return bool(value)


def _extra(turn: Mapping[str, Any], calls: list[dict[str, Any]], thinking: str) -> Mapping[str, Any]:
    if not calls and not thinking and _EXTRA.isdisjoint(turn):
        return NO_EXTRA
    extra: dict[str, Any] = {}
    if isinstance(turn.get("name"), str):
        extra["name"] = turn["name"]
    called = next((turn[key] for key in ("tool_call_id", "tool_use_id") if isinstance(turn.get(key), str)), None)
    if called is not None:
        extra["tool_call_id"] = called
    if thought := thinking or thought_of(turn):
        extra["reasoning_content"] = thought
    if calls:
        extra["tool_calls"] = calls
    return extra or NO_EXTRA
