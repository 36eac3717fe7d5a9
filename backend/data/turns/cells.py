"""What a cell holds, whatever its column is called: turns in any of the usual shapes, also stored as text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from backend import typed

SPEAKERS = ("role", "from", "author", "speaker", "sender")
"""Keys of a turn that say who speaks."""
CONTENTS = ("content", "value", "text", "parts", "message", "utterance")
"""Keys of a turn that hold what is said."""
KEYED: tuple[tuple[str, frozenset[str]], ...] = (
    ("system", frozenset({"system"})),
    ("user", frozenset({"user", "human", "input", "instruction", "question", "prompt", "query"})),
    ("assistant", frozenset({"assistant", "gpt", "bot", "output", "response", "answer", "completion"})),
)
"""Objects that hold a question and its answer under the names of their roles, in the order they are said."""
NESTED = ("messages", "conversations", "conversation", "turns")
"""Keys of an object that holds nothing but the list of turns."""
KEYED_LOSS = "output_with_loss"
_BESIDE = {KEYED_LOSS, "need_eos_token", "turn", "id", "index"}
_KEYED_NAMES = frozenset().union(*(names for _, names in KEYED))
_WORDS = re.compile(r"[^\W\d_]+\W?\s+[^\W\d_]+")
"""Two words with white space between them; a date has none."""
_ARRAY = re.compile(r"\Aarray\((\[.*\])(?:,\s*dtype=\w+)?\)\Z", re.DOTALL)
"""How Python prints an array of NumPy within other data."""
_ARRAY_OF_OBJECTS = re.compile(r"\}\s*\n\s*\{")
"""NumPy prints the items of an array without commas, one a line; line ends within texts are escaped."""


def decoded(value: Any) -> Any:
    """A list or an object that is stored as JSON text or as Python prints it; anything else as it is."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("array("):
        text = _ARRAY.sub(r"\1", text)
    elif text[:1] == '"':
        text = _encoded_twice(text)
    if not text or text[0] + text[-1] not in ("[]", "{}"):
        return value
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return _by_python(text, value)


def turns_of(value: Any, keyed_text: bool = True) -> list[Mapping[str, Any]] | None:
    """The cell as a list of turns with a speaker each, or None if it holds anything else.

    An object such as {"question": ..., "answer": ...}, or several that are stored as text, are turns only with
    `keyed_text`: they may also be an answer in JSON.
    """
    if type(value) is list and value and all(type(x) is dict and ("role" in x or "from" in x) for x in value):
        return value  # by far the most frequent
    may_be_keyed = keyed_text or not isinstance(value, str | Mapping)
    value = decoded(value)
    if isinstance(value, Mapping):
        inner = _transposed(value) or _nested(value)
        value = [value] if inner is None else inner
    if not isinstance(value, list | tuple) or not value:
        return None
    turns: list[Mapping[str, Any]] = []
    for item in value:
        if item is None:
            continue
        turn = _as_object(item)
        if turn is None:
            return None
        if speaker_key(turn):
            turns.append(turn)
        elif may_be_keyed and (keyed := _keyed(turn)):
            turns += keyed
        else:
            return None
    return turns or None


def _nested(value: Mapping[str, Any]) -> Any:
    """The list of turns in an object that holds nothing else but switches and empty lists."""
    key = next((key for key in NESTED if key in value), None)
    others = [x for name, x in value.items() if name != key]
    return value[key] if key and all(not x or isinstance(x, bool) for x in others) else None


def _transposed(value: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The turns of an object that holds a list for each of their keys, as tables of lists are kept by `datasets`."""
    lists = {key: cells for key, cells in value.items() if isinstance(cells, list)}
    speakers = next((lists[key] for key in SPEAKERS if key in lists), None)
    if not speakers or not all(isinstance(x, str) for x in speakers) or lists.keys().isdisjoint(CONTENTS):
        return None
    if any(len(cells) != len(speakers) for cells in lists.values() if cells):
        return None
    filled = {key: cells for key, cells in lists.items() if cells}
    return [dict(zip(filled, turn, strict=True)) for turn in zip(*filled.values(), strict=True)]


def texts_of(value: Any) -> list[str] | None:
    """The cell as a list of several texts without speakers, or None if it holds anything else."""
    value = decoded(value)
    if isinstance(value, list) and len(value) > 1 and all(isinstance(x, str) for x in value):
        return list(value)
    return None


def has_sentence(value: Any, depth: int = 4) -> bool:
    """A text of several words stands somewhere in it."""
    if isinstance(value, str):
        text = value.strip()
        return len(text) > 200 or (not text.isascii() and len(text) > 5) or _WORDS.search(text) is not None
    if depth and isinstance(value, Mapping):
        return any(has_sentence(item, depth - 1) for item in value.values())
    return bool(depth) and isinstance(value, list) and any(has_sentence(item, depth - 1) for item in value)


def speaker_key(turn: Mapping[str, Any]) -> str | None:
    """The key that says who speaks, or None."""
    return next((key for key in SPEAKERS if isinstance(turn.get(key), str)), None)


def shown(value: Any) -> str:
    """A value in a sentence, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _encoded_twice(text: str) -> str:
    """The text that a JSON text holds, if it is a list or an object; else the text itself."""
    with suppress(typed.Damaged):
        inner = typed.from_json(text, str).strip()
        if inner[:1] in ("[", "{"):
            return inner
    return text


def _by_python(text: str, value: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if not re.match(r"[\[{]\s*[\[{'\"]", text):
        return value
    try:
        return ast.literal_eval(_ARRAY_OF_OBJECTS.sub("}, {", text))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return value


def _as_object(item: Any) -> Mapping[str, Any] | None:
    if isinstance(item, str) and item.lstrip()[:1] == "{":
        item = decoded(item)
    if isinstance(item, Mapping):
        return item
    pairs = isinstance(item, list | tuple) and item and all(isinstance(x, tuple) and len(x) == 2 for x in item)
    return dict(item) if pairs else None  # a map of Arrow


def _keyed(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The turns of an object such as {"human": ..., "assistant": ...}; none if it is another kind of object."""
    texts = {key.lower(): value for key, value in item.items() if isinstance(value, str)}
    others = {key for key, value in item.items() if value is not None and not isinstance(value, str)}
    if not texts or not texts.keys() <= _KEYED_NAMES or not others <= _BESIDE:
        return []
    turns = []
    for role, names in KEYED:
        found = [value for key, value in texts.items() if key in names]
        if len(found) > 1:
            return []
        turns += [{"role": role, "content": value} for value in found if value or role != "system"]
    if item.get(KEYED_LOSS) is not None and turns[-1]["role"] == "assistant":
        turns[-1]["loss"] = item[KEYED_LOSS]
    return turns
