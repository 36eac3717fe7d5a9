"""Turns of OpenAI's and ShareGPT's shape to messages: roles, tool calls, weights, content parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from backend.data.conversation import Message
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
    "ipython": "tool",
}
CALLS = ("function_call", "tool_call")
WEIGHTS = ("weight", "loss_weight", "train", "trainable", "training")
KEPT = ("name", "tool_call_id", "reasoning_content")
REASONING = ("reasoning_content", "thinking", "reasoning")


def message(turn: Any, where: str) -> Message:
    """One turn. `where` names the row and the turn for a UserError (field `data`)."""
    if not isinstance(turn, Mapping):
        raise UserError(f"{where} is no object with role and content", "data")
    said = _first(turn, ("role", "from"), where)
    role = ROLES.get(str(said).lower())
    if role is None:
        raise UserError(f"{where} has the role {said!r}; known are {', '.join(ROLES)}", "data")
    calls = _tool_calls(turn.get("tool_calls"), where)
    needs_content = not calls and not turn.get("function_call")
    value = _first(turn, ("content", "value"), where) if needs_content else turn.get("content")
    content = text_of(value, where)
    if str(said).lower() in CALLS:
        calls, content = _written_calls(content)
    elif isinstance(turn.get("function_call"), Mapping):
        calls = _tool_calls([{"function": turn["function_call"]}], where)
    return Message(role, content, role == "assistant" and _weight(turn, where), _extra(turn, calls))


def tools_of(value: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    """The tools of a row in OpenAI's shape, from a list or its JSON text; empty where there are none."""
    if isinstance(value, str):
        if not value.strip():
            return ()
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            raise UserError(f"{where} has tools that are no JSON list; mend or empty them", "data") from None
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(tool, Mapping) for tool in value):
        raise UserError(f"{where} has tools that are no list of objects; mend or empty them", "data")
    return tuple(tool if "function" in tool else {"type": "function", "function": tool} for tool in value)


def text_of(value: Any, where: str) -> str:
    """A cell as text: None is empty, numbers as written, text parts joined. UserError for anything else."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list) and all(isinstance(x, Mapping) and isinstance(x.get("text"), str) for x in value):
        return "".join(x["text"] for x in value)
    if isinstance(value, list) and any(isinstance(x, Mapping) and x.get("type", "text") != "text" for x in value):
        kind = next(x.get("type") for x in value if isinstance(x, Mapping) and x.get("type", "text") != "text")
        raise UserError(f"{where} holds a part of type {kind!r}; only text can be trained on", "data")
    kinds = "a list" if isinstance(value, list) else "an object" if isinstance(value, Mapping) else type(value).__name__
    raise UserError(f"{where} holds {kinds} where text was expected; map another column, or make it text", "data")


def _first(turn: Mapping[str, Any], keys: tuple[str, ...], where: str) -> Any:
    for key in keys:
        if key in turn:
            return turn[key]
    raise UserError(f"{where} has no {keys[0]!r} (it has {', '.join(map(str, turn)) or 'nothing'})", "data")


def _weight(turn: Mapping[str, Any], where: str) -> bool:
    for key in WEIGHTS:
        value = turn.get(key)
        if value is None:
            continue
        if value not in (0, 1):
            raise UserError(f"{where} has {key} {value!r}; only 0 (not scored) and 1 (scored) are known", "data")
        return bool(value)
    return True


def _extra(turn: Mapping[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    extra = {key: turn[key] for key in KEPT if isinstance(turn.get(key), str)}
    reasoning = next((turn[key] for key in REASONING if isinstance(turn.get(key), str)), None)
    if reasoning is not None:
        extra["reasoning_content"] = reasoning
    return extra | {"tool_calls": calls} if calls else extra


def _tool_calls(value: Any, where: str) -> list[dict[str, Any]]:
    if not value:
        return []
    calls = value if isinstance(value, list) else [value]
    return [_call(call, where) for call in calls]


def _call(call: Any, where: str) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise UserError(f"{where} has a tool call without a function's name", "data")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):  # templates take an object: as text it would be quoted twice
        with suppress(json.JSONDecodeError):  # some sets hold arguments that are no JSON: they stay as they are
            arguments = json.loads(arguments or "{}")
    kept = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    return {"type": "function", **kept, "function": {"name": function["name"], "arguments": arguments}}


def _written_calls(content: str) -> tuple[list[dict[str, Any]], str]:
    """A ShareGPT call: JSON of one call or several, or (no JSON) the text as it is."""
    try:
        value = json.loads(content)
    except json.JSONDecodeError:
        return [], content
    calls = value if isinstance(value, list) else [value]
    if not calls or not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        return [], content
    return [_call(call, "") for call in calls], ""
