"""Contents of turns under keys that nothing reads: images are refused; texts are reported, as unused columns are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.data.finding import SHOWN_ROWS, Finding, Severity, count_of
from backend.data.layout.head import holds
from backend.data.layout.kinds import Layout
from backend.data.layout.media import refuse_media_of_turn
from backend.data.layout.names import THINKING, is_identifier
from backend.data.row import Value
from backend.data.turns.calls import are_calls, is_nothing
from backend.data.turns.cells import KEYED_LOSS, SPEAKERS, has_sentence, speaker_key, turns_of
from backend.data.turns.turns import (
    CALL_KEYS,
    FLAGS,
    MASKS,
    OTHER_CALL_KEYS,
    PARTS_MARKED,
    REASONING,
    content_key,
    is_marked_as_trained,
    other_calls_key,
    spoken_in,
    thought_of,
)

READ = frozenset(
    {*SPEAKERS, *FLAGS, *MASKS, *PARTS_MARKED, KEYED_LOSS} | {"name", *CALL_KEYS, "tool_call_id", "tool_use_id", "type"}
)
ATTACHED = frozenset({"tools", "attachments", "experimental_attachments", "files", "documents"})
"""Keys of things attached to a question, whatever their contents."""
ABOUT_TURNS = frozenset(
    {"header", "headers", "metadata", "meta", "model", "language", "lang", "country", "state", "city"}
)
"""Keys that say where a turn comes from."""
ENCODED_ROWS = 20_000
"""Rows whose turns are looked at even if they are stored as text: it takes decoding them once more."""
MOST_KEYS = 200
"""The most keys that are counted; if there are more, they are data rather than names."""
_KEYS, _FLAGGED = "unread-keys", "marked-questions"


@dataclass
class Unread:
    """Counts what is not read while rows pass by, in bounded memory."""

    columns: tuple[str, ...] = ()
    """Those that may hold turns."""
    held: Counter[str] = field(default_factory=Counter)
    """Key -> turns that hold something under it."""
    texts: Counter[str] = field(default_factory=Counter)
    """Key -> turns that hold sentences under it."""
    marks: dict[str, set[bool]] = field(default_factory=dict)
    """Key -> the truth values that answers hold under it."""
    rows: dict[str, list[int]] = field(default_factory=dict)
    """Key -> the first rows, counted from 0."""
    counts: Counter[str] = field(default_factory=Counter)
    """Key -> rows."""

    def add(self, row: Value, number: int) -> None:
        """Look at the turns of row `number`. UserError (field `data`) if one of them has an image."""
        for column in self.columns:
            value = row.get(column)
            if type(value) is not list:
                value = turns_of(value) if isinstance(value, Mapping) or number <= ENCODED_ROWS else None
            seen: set[str] = set()
            tools: Any = None
            for at, turn in enumerate(value or (), 1):
                if type(turn) is dict and len(turn) == 2 and ("content" in turn or "value" in turn):
                    continue  # by far the most frequent
                if isinstance(turn, Mapping):
                    seen |= self._turn(turn, tools, f"row {number}, turn {at}")
                    tools = tools or turn.get("tools")
            for key in seen:
                self._note(key, number - 1)

    def findings(self) -> Iterator[Finding]:
        """The keys of which most hold sentences; marks on questions."""
        keys = [key for key, count in self.texts.items() if 2 * count > self.held[key]]
        beside = [key for key in keys if key.lower() in ABOUT_TURNS]
        if learned := [key for key in keys if key not in beside]:
            yield self._finding("warns", learned, _fix(learned))
        if beside:
            yield self._finding("notes", beside, "")
        if marks := [key for key, values in self.marks.items() if len(values) > 1]:
            listed = ", ".join(map(repr, marks[:6]))
            text = f"Answers are marked true or false under {listed}, and all are trained on alike."
            yield Finding(
                "notes", "unread-marks", text, "write `train: false` into turns that are not to be trained on"
            )
        if count := self.counts[_FLAGGED]:
            text = f"Questions in {count_of(count)} are marked as trained on: only answers are."
            yield Finding("notes", _FLAGGED, text, "", tuple(self.rows[_FLAGGED]), count)

    def _finding(self, severity: Severity, keys: list[str], fix: str) -> Finding:
        count = max(self.counts[key] for key in keys)
        listed = ", ".join(map(repr, keys[:6]))
        text = (
            f"Turns of {count_of(count)} hold texts that are not used, under the key{'s' * (len(keys) > 1)} {listed}."
        )
        rows = sorted({row for key in keys for row in self.rows[key]})[:SHOWN_ROWS]
        return Finding(severity, _KEYS, text, fix, tuple(rows), count)

    def _turn(self, turn: Mapping[str, Any], tools: Any, where: str) -> set[str]:
        """What of this turn is not read; `tools` are those of turns before it."""
        keys = [key for key in turn if key not in READ and holds(turn[key])]
        if not tools or tools == turn.get("tools"):
            keys = [key for key in keys if key != "tools"]
        refuse_media_of_turn(turn, keys, where)
        is_answer = "assistant" in spoken_in([turn])
        if is_answer and not any(turn.get(key) for key in CALL_KEYS):
            read = other_calls_key(turn)
            keys = [key for key in keys if key != read]
        seen = set()
        for key in _left(turn, keys):
            if key not in self.held and len(self.held) >= MOST_KEYS:
                continue
            self.held[key] += 1
            if key in ATTACHED or has_sentence(turn[key]) or (is_answer and _calls(key, turn[key])):
                self.texts[key] += 1
                seen.add(key)
        for key in keys if is_answer else ():
            if type(turn[key]) is bool and (key in self.marks or len(self.marks) < MOST_KEYS):
                self.marks.setdefault(key, set()).add(turn[key])
        if speaker_key(turn) and not is_answer and is_marked_as_trained(turn):
            seen.add(_FLAGGED)
        return seen

    def _note(self, key: str, row: int) -> None:
        self.counts[key] += 1
        shown = self.rows.setdefault(key, [])
        if len(shown) < SHOWN_ROWS:
            shown.append(row)


def unread_of(found: Layout) -> Unread:
    """The counter for rows of this layout. If rows are turns, other columns are reported already and not counted."""
    layouts = () if found.joined else (found, *found.others)
    return Unread(tuple(column for one in layouts if one.kind != "text" for column in one.needed))


def _left(turn: Mapping[str, Any], keys: list[str]) -> Iterator[str]:
    """Those of `keys` whose content is not what is said or thought."""
    said, thought = content_key(turn), thought_of(turn)
    whole = turn.get(said) if said else None
    for key in keys:
        if key in REASONING and (turn[key] == thought or (thought and not isinstance(turn[key], str))):
            continue
        if key == said or is_identifier(key) or _is_in(turn[key], whole) or (speaker_key(turn) is None):
            continue
        yield key


def _calls(key: str, value: Any) -> bool:
    """By its name or its content it holds tool calls."""
    return (key in OTHER_CALL_KEYS and not isinstance(value, bool) and not is_nothing(value)) or are_calls(value)


def _is_in(value: Any, said: Any) -> bool:
    """A text that what is said holds as well."""
    return isinstance(value, str) and said is not None and value.strip() in str(said)


def _fix(keys: list[str]) -> str:
    thought = next((key for key in keys if THINKING.search(key.lower())), None)
    if thought in REASONING:
        return f"write what was thought as one text under reasoning_content, not in {thought!r}"
    if any(key in OTHER_CALL_KEYS for key in keys):
        return "write calls under tool_calls, each as an object with name and arguments"
    if thought:
        return f"rename {thought!r} to reasoning_content if the model should learn to think so"
    return "write into the content of the turn what the model should see"
