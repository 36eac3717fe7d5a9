"""Content as a list of typed parts: text, thinking, tool calls and tool results, however they are keyed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.data.turns.cells import shown
from backend.data.turns.faults import RowError
from backend.errors import UserError

TEXT = {"text", "input_text", "output_text"}
THINKING = {"thinking", "reasoning", "thought", "think"}
CALLS = {"tool_use", "tool_call", "function_call", "functioncall", "tooluse"}
RESULTS = {"tool_result", "tool_response", "function_response", "functionresponse", "toolresult"}
SAID = ("text", "value", "content")
"""Keys of a part that hold its text."""
BESIDE_SAID = frozenset(
    {*SAID, "type", "id", "thought", "thoughtSignature", "annotations", "citations", "cache_control"}
)
"""Keys that a part of a turn may have."""
MEDIA = ("image", "video", "audio", "file", "document", "inlinedata", "inline_data", "img")


@dataclass
class Parts:
    """What the parts of one turn say."""

    pieces: list[tuple[str, Any]] = field(default_factory=list)
    """Texts (`text`) and tool results (`result`: text, id, name) in their order."""
    thinking: str = ""
    calls: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All texts, joined."""
        return "".join(said for kind, said in self.pieces if kind == "text")

    @property
    def has_results(self) -> bool:
        """A part is a tool's result."""
        return any(kind == "result" for kind, _ in self.pieces)


def parts_of(value: Sequence[Any], where: str) -> Parts:
    """The parts of a turn. UserError for images and the like, RowError for a type that is not known."""
    if len(value) > 1 and all(isinstance(part, str) for part in value):
        raise RowError(f"{where} holds a list of {len(value)} texts ({shown(value)}); keep one of them, as text")
    if len(value) > 1 and all(map(_tells_more, value)):
        raise _several(value, where)
    parts = Parts()
    for part in value:
        _read(part, parts, where)
    return parts


def text_of(value: Any, where: str) -> str:
    """A cell as text: None and NaN are empty, numbers as JSON writes them, text parts joined. RowError otherwise."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Mapping) and isinstance(value.get("parts"), list):  # Gemini's system instruction
        value = value["parts"]
    if isinstance(value, Mapping) and (value.get("type") in TEXT or isinstance(value.get("text"), str)):
        value = [value]
    if isinstance(value, list) and all(isinstance(x, str) or _is_part(x) for x in value):
        parts = parts_of(value, where)
        if not parts.calls and not parts.has_results and not parts.thinking:
            return parts.text
    kinds = "a list" if isinstance(value, list) else "an object" if isinstance(value, Mapping) else type(value).__name__
    what = f"{where} holds {kinds} where text was expected ({shown(value)})"
    raise RowError(f"{what}; map another column, or write it as text")


def one_text(value: Any, where: str) -> str:
    """A cell that is a whole question or answer as text. RowError if it holds several, with no types of parts."""
    if isinstance(value, list) and len(value) > 1 and all(isinstance(x, Mapping) and not x.get("type") for x in value):
        raise _several(value, where)
    return text_of(value, where)


def _several(value: Sequence[Any], where: str) -> RowError:
    return RowError(f"{where} holds a list of {len(value)} objects ({shown(value)}); keep one of them, as text")


def _read(part: Any, parts: Parts, where: str) -> None:
    kind, body = ("text", part) if isinstance(part, str) else _typed(part, where)
    name = kind.lower()
    if any(word in name for word in MEDIA):
        raise UserError(
            f"{where} holds a part of type {kind!r}; only text can be trained on, so leave such rows out", "data"
        )
    if name in THINKING or (isinstance(part, Mapping) and part.get("thought") is True):
        parts.thinking += _string(body, (name, "thinking", "reasoning", "text", "content", "value"), kind, where)
    elif name in TEXT:
        parts.pieces.append(("text", _string(body, ("text", "value", "content"), kind, where)))
    elif name in CALLS:
        parts.calls.append(body)
    elif name in RESULTS:
        parts.pieces.append(("result", _result(body, where)))
    else:
        raise RowError(f"{where} holds a part of type {kind!r}; only text can be trained on, so leave such rows out")


def _tells_more(part: Any) -> bool:
    """An object with a text and other things about it, such as a score: one of several answers, no part of a turn."""
    if not isinstance(part, Mapping) or part.get("type") or part.get("thought") is True:
        return False
    return any(part.get(key) is not None for key in SAID) and any(
        value is not None for key, value in part.items() if key not in BESIDE_SAID
    )


def _typed(part: Any, where: str) -> tuple[str, Any]:
    """A part's type, told from its keys if it does not say, and the object that holds its content."""
    if not isinstance(part, Mapping):
        raise RowError(f"{where} holds {shown(part)} among its parts; write them as text")
    kind = part.get("type")
    if isinstance(kind, str) and kind:
        inner = part.get(kind)
        return kind, inner if isinstance(inner, Mapping) else part
    given = [key for key, value in part.items() if value is not None and key not in ("thought", "thoughtSignature")]
    if any(key in given for key in SAID) and isinstance(_first(part, given), str):
        return "text", part
    key = next((x for x in given if x != "type"), "nothing")
    return key, part.get(key)


def _first(part: Mapping[str, Any], given: Sequence[str]) -> Any:
    return next(part[key] for key in SAID if key in given)


def _string(body: Any, keys: Sequence[str], kind: str, where: str) -> str:
    if isinstance(body, str):
        return body
    given = body if isinstance(body, Mapping) else {}
    found = next((given[key] for key in keys if isinstance(given.get(key), str)), None)
    if found is None:
        raise RowError(f"{where} holds a part of type {kind!r} without text ({shown(body)}); correct that part")
    return str(found)


def _result(body: Any, where: str) -> tuple[str, str | None, str | None]:
    if not isinstance(body, Mapping):
        return result_text(body), None, None
    content = next(
        (body[key] for key in ("content", "response", "output", "result", "text") if body.get(key) is not None), ""
    )
    called = next(
        (body[key] for key in ("tool_use_id", "tool_call_id", "call_id", "id") if isinstance(body.get(key), str)), None
    )
    name = body["name"] if isinstance(body.get("name"), str) else None
    return result_text(content, where), called, name


def result_text(value: Any, where: str = "") -> str:
    """A tool's result as text: text parts joined, objects and lists as JSON."""
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, list) and value and all(isinstance(x, Mapping) and _is_said(x.get("type")) for x in value):
        return text_of(value, where)
    return json.dumps(value, ensure_ascii=False, default=str)


def has_results(value: Any) -> bool:
    """The content is a list of parts with a tool's result among them."""
    kinds = (_kind(part) for part in value) if isinstance(value, list) else ()
    return any(kind.lower() in RESULTS for kind in kinds)


def _kind(part: Any) -> str:
    given = part.get("type") or next(iter(part), "") if isinstance(part, Mapping) else ""
    return given if isinstance(given, str) else ""


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping) and any(key in value for key in ("type", "text", "value", "content"))


def _is_said(kind: Any) -> bool:
    """A type of part that a turn has, not one of the tool's own objects."""
    return isinstance(kind, str) and (kind in TEXT or any(word in kind.lower() for word in MEDIA))
