"""Marks around every piece of a conversation's data, by which the piece is found again in what a template writes.

A mark is one character of a private use plane. A template passes it on as it passes on text, so taking the marks
out of a rendering must give the rendering without marks back: `find` refuses anything else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from backend.data.chat.template import REASONING, Refusal, Template, Turns

TEXT, THINKING, CALL, ARGUMENT, TOOL = "text", "thinking", "call", "argument", "tool"
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
FIRST = 0x100000
"""Code point of the first mark. Piece n opens with FIRST + 2n and closes with the next."""
MOST_PIECES = 30_000
MOST_SINGLE_TRIES = 200
"""Pieces that are tried one by one when the template reacts to the marks around all of them."""
_MARK = re.compile("[\U00100000-\U0010ffef]")
_ESCAPED = re.compile(r"\\u(db[c-f][0-9a-f])\\u(d[c-f][0-9a-f]{2})|\\U(0010[0-9a-f]{4})", re.IGNORECASE)
Range = tuple[int, int]


class Note(NamedTuple):
    """Something to tell about a row."""

    kind: str
    """A constant of fitting.py, masking.py, control.py or tokens.py."""
    value: str = ""
    """What was found, if there is something to show."""


class Piece(NamedTuple):
    """One text of the data: of turn `turn` (-1 for the tools), of the kind TEXT, THINKING, CALL, ARGUMENT or TOOL."""

    turn: int
    kind: str


@dataclass(frozen=True)
class Places:
    """The positions of the pieces in a rendering without marks."""

    text: str
    at: Mapping[int, Range]
    """Number of a piece -> its characters, for every piece that is written exactly once."""
    first: Mapping[int, Range]
    """Number of a piece -> its first occurrence, for pieces that are written more than once."""


@dataclass
class Marker:
    """Puts marks around pieces and numbers them, in the order of the data."""

    allowed: Collection[int] | None = None
    """The pieces that get marks; None for all."""
    pieces: list[Piece] = field(default_factory=list)

    def turns(self, turns: Turns) -> list[dict[str, Any]]:
        """Copies of the turns with marks."""
        return [self._turn(turn, at) for at, turn in enumerate(turns)]

    def tools(self, tools: Turns) -> list[dict[str, Any]]:
        """Copies of the tools with marks around their names."""
        return [self._tool(tool) for tool in tools]

    def _mark(self, text: str, turn: int, kind: str) -> str:
        """Marks around a text; spaces, which templates strip, stay outside."""
        core = text.strip()
        if not core or len(self.pieces) >= MOST_PIECES:
            return text
        number = len(self.pieces)
        self.pieces.append(Piece(turn, kind))
        if self.allowed is not None and number not in self.allowed:
            return text
        start = text.index(core)
        opens, closes = chr(FIRST + 2 * number), chr(FIRST + 2 * number + 1)
        return text[:start] + opens + core + closes + text[start + len(core) :]

    def _turn(self, turn: Mapping[str, Any], at: int) -> dict[str, Any]:
        made = dict(turn)
        thinking = next((turn[key] for key in REASONING if isinstance(turn.get(key), str)), None)
        if thinking is not None:
            marked = self._mark(thinking, at, THINKING)
            made |= {key: marked for key in REASONING if turn.get(key) == thinking}
        if isinstance(turn.get("content"), str):
            made["content"] = self._content(turn["content"], at, turn["role"] == "assistant")
        if turn.get("tool_calls"):
            made["tool_calls"] = [self._call(call, at) for call in turn["tool_calls"]]
        return made

    def _content(self, content: str, at: int, is_answer: bool) -> str:
        if not is_answer or THINK_CLOSE not in content:
            return self._mark(content, at, TEXT)
        before, _, answer = content.rpartition(THINK_CLOSE)
        lead, opened, thought = before.rpartition(THINK_OPEN)
        return lead + opened + self._mark(thought, at, THINKING) + THINK_CLOSE + self._mark(answer, at, TEXT)

    def _call(self, call: Mapping[str, Any], at: int) -> dict[str, Any]:
        function = dict(call["function"])
        function["name"] = self._mark(function["name"], at, CALL)
        function["arguments"] = self._arguments(function.get("arguments"), at)
        return {**call, "function": function}

    def _arguments(self, value: Any, at: int) -> Any:
        if isinstance(value, str):
            return self._mark(value, at, ARGUMENT)
        if isinstance(value, Mapping):
            return {key: self._arguments(item, at) for key, item in value.items()}
        return [self._arguments(item, at) for item in value] if isinstance(value, list) else value

    def _tool(self, tool: Mapping[str, Any]) -> dict[str, Any]:
        function = tool.get("function")
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            return dict(tool)
        return {**tool, "function": {**function, "name": self._mark(function["name"], -1, TOOL)}}


def places(marked: str) -> Places:
    """The pieces of a rendering with marks."""
    marked = unescaped(marked)
    opens: dict[int, list[int]] = {}
    closes: dict[int, list[int]] = {}
    plain, last, length = [], 0, 0
    for found in _MARK.finditer(marked):
        plain.append(marked[last : found.start()])
        length += found.start() - last
        last = found.end()
        number, is_close = divmod(ord(found.group()) - FIRST, 2)
        (closes if is_close else opens).setdefault(number, []).append(length)
    plain.append(marked[last:])
    at = {
        number: (starts[0], ends[0])
        for number, starts in opens.items()
        if len(starts) == 1 and len(ends := closes.get(number, [])) == 1 and starts[0] <= ends[0]
    }
    first = {
        number: (starts[0], ends[0])
        for number, starts in opens.items()
        if number not in at and (ends := closes.get(number, [])) and starts[0] <= ends[0]
    }
    return Places("".join(plain), at, first)


@dataclass(frozen=True)
class Found:
    """A conversation's pieces in its whole rendering."""

    pieces: tuple[Piece, ...]
    places: Places
    usable: frozenset[int]
    """Pieces whose marks the template does not react to. The others are not known to be written or left out."""

    def marker(self) -> Marker:
        """Marks the same pieces again, in a part of the conversation."""
        return Marker(self.usable)

    def is_left_out(self, number: int) -> bool:
        """The template does not write this piece."""
        return number in self.usable and number not in self.places.at and number not in self.places.first

    @cached_property
    def spans(self) -> dict[int, Range]:
        """The characters of each piece: the first occurrence of a call's name, which templates repeat at its result."""
        calls = {number: span for number, span in self.places.first.items() if self.pieces[number].kind == CALL}
        return {**self.places.at, **calls}

    def of_turn(self, turn: int) -> list[Range]:
        """The characters of a turn's pieces, in the order of the text."""
        return sorted(span for number, span in self.spans.items() if self.pieces[number].turn == turn)


def find(template: Template, turns: Turns, tools: Turns, text: str) -> Found:
    """The pieces of `turns` in `text`, which is their rendering."""

    def tried(allowed: Collection[int] | None) -> tuple[list[Piece], Places] | None:
        marker = Marker(allowed)
        marked, marked_tools = marker.turns(turns), marker.tools(tools)
        try:
            found = places(template.render(marked, marked_tools))
        except Refusal:
            return None
        return (marker.pieces, found) if found.text == text else None

    every = Marker()
    every.turns(turns)
    every.tools(tools)
    count = len(every.pieces)
    for allowed in _guesses(every.pieces):
        if (made := tried(allowed)) is not None:
            return Found(tuple(made[0]), made[1], frozenset(range(count) if allowed is None else allowed))
    alone = frozenset(number for number in range(min(count, MOST_SINGLE_TRIES)) if tried((number,)) is not None)
    made = tried(alone)
    return Found(tuple(every.pieces), made[1] if made else Places(text, {}, {}), alone if made else frozenset())


def _guesses(pieces: Sequence[Piece]) -> list[Collection[int] | None]:
    """Which pieces to mark: all; all but the tools (some templates look for names); the turns' texts alone."""
    turns = [number for number, piece in enumerate(pieces) if piece.kind != TOOL]
    texts = [number for number, piece in enumerate(pieces) if piece.kind in (TEXT, THINKING, CALL)]
    guesses: list[Collection[int] | None] = [None]
    guesses += [frozenset(turns)] if len(turns) < len(pieces) else []
    return guesses + ([frozenset(texts)] if len(texts) < len(turns) else [])


def unescaped(marked: str) -> str:
    """Marks that a template has written as escapes, of JSON or of Python, as they were."""
    return _ESCAPED.sub(_character, marked) if "\\u" in marked or "\\U" in marked else marked


def _character(found: re.Match[str]) -> str:
    high, low, wide = found.groups()
    return chr(int(wide, 16)) if wide else str(json.loads(f'"\\u{high}\\u{low}"'))
