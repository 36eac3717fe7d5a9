"""Whole conversations written as one text with the speakers' names, such as `Human:` and `Assistant:`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from backend.data.turns.cells import shown
from backend.data.turns.faults import RowError

ROLES = {
    "human": "user",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "function response": "tool",
}
_SPEAKER = re.compile(r"(?:\A|\n{2,})(Human|Assistant|System|USER|ASSISTANT|SYSTEM|FUNCTION RESPONSE):(?= |\n|\Z)")
_CALL = re.compile(r"\A(?P<before>.*?)<functioncall>\s*(?P<call>\{.*\})\s*\Z", re.DOTALL)
_ARGUMENTS = re.compile(r'"arguments":\s*\'(?P<arguments>.*)\'\s*\}\Z', re.DOTALL)
_END = "<|endoftext|>"


def is_transcript(text: Any) -> bool:
    """The text is a conversation from its first word on, with a question and an answer."""
    if not isinstance(text, str):
        return False
    found = [ROLES[x.group(1).lower()] for x in _SPEAKER.finditer(text.strip())]
    first = _SPEAKER.match(text.strip())
    return first is not None and "user" in found and "assistant" in found


def turns_of_transcript(text: str, where: str) -> list[Mapping[str, Any]]:
    """The turns of a transcript, each text as it stands between two speakers but for the space around it."""
    parts = _SPEAKER.split(text.strip())
    if parts[0] or len(parts) < 3:
        raise RowError(f"{where} is no transcript of Human: and Assistant: turns ({shown(text)}); remove that row")
    said = zip(parts[1::2], parts[2::2], strict=True)
    return [_turn(name, content.strip().removesuffix(_END).strip(), where) for name, content in said]


def _turn(name: str, content: str, where: str) -> dict[str, Any]:
    role = ROLES[name.lower()]
    call = _CALL.match(content) if role == "assistant" and "<functioncall>" in content else None
    if call is None:
        return {"role": role, "content": content}
    return {"role": role, "content": call["before"].strip() or None, "tool_calls": [_call(call["call"], where)]}


def _call(text: str, where: str) -> dict[str, Any]:
    """A call in glaive's format: JSON, except for the arguments, which are in single quotes."""
    try:
        quoted = _ARGUMENTS.search(text)
        if quoted is None:
            return dict(json.loads(text))
        name = json.loads(text[: quoted.start()].rstrip().rstrip(",") + "}")["name"]
        return {"name": name, "arguments": json.loads(quoted["arguments"].replace("\\'", "'"))}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RowError(f"{where} has a function call that can't be read ({shown(text)}); correct it") from None
