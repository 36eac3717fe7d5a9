"""Where a turn begins and ends in a rendered conversation: by comparison with what the template writes at inference.

An answer begins at the end of its prompt (the turns before, with the generation prompt), or where the whole
conversation first differs from that prompt: a prompt may open a thought that history does not have. It ends with the
end mark that the template writes after a last turn, as much of it as the whole conversation has there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from backend.data.chat.pieces import Found, places
from backend.data.chat.template import Refusal, Template, Turns


class Span(NamedTuple):
    """Target characters of one turn."""

    start: int
    end: int
    is_ended: bool = True
    """Its last characters are the mark at which the model stops."""
    missing: str = ""
    """What the generation prompt has before the answer at inference, but not this text: it opens a thought."""


class Tail(NamedTuple):
    """What follows an answer's last piece."""

    end: int
    is_ended: bool


@dataclass(frozen=True)
class Borders:
    """Finds the borders of turns in one rendered conversation."""

    template: Template
    turns: Sequence[dict[str, Any]]
    tools: Turns
    text: str
    found: Found
    special: re.Pattern[str]
    """The texts of the tokenizer's special tokens."""
    header: str
    """What stands before every answer, if the template has such a text."""

    def span(self, at: int) -> Span:
        """Turn `at`, from where the model starts to write to the end of its end-of-turn mark."""
        pieces = self.found.of_turn(at)
        if not pieces:
            raise Refusal(f"turn {at + 1} can't be told apart in what the chat template writes")
        first, last = pieces[0][0], max(end for _, end in pieces)
        start, missing = self._start(at, first)
        tail = self._tail(at, last)
        return Span(start, tail.end, tail.is_ended, missing)

    def after(self, at: int) -> str:
        """What follows the last piece of turn `at`, up to the next turn's."""
        last = max(end for _, end in self.found.of_turn(at))
        following = [span[0] for span in self.found.spans.values() if span[0] >= last]
        return self.text[last : min(following, default=len(self.text))]

    def _start(self, at: int, first: int) -> tuple[int, str]:
        before = [(span[1], number) for number, span in self.found.spans.items() if span[1] <= first]
        closes, anchor = max(before, default=(0, -1))
        lead = self.text[closes:first]
        prompt = self._prompt(at, anchor)
        same = self._common(prompt, lead) if prompt is not None else 0
        if prompt is not None and (same == len(prompt) or lead[:same].strip()):
            return closes + same, prompt[same:].strip()
        header = lead.rfind(self.header) if self.header else -1
        if header >= 0:
            return closes + header + len(self.header), ""
        if at == 0:  # a prompt has at least one turn; the text before the first one is the template's
            return first, ""
        raise Refusal(f"the start of turn {at + 1} can't be told apart in what the chat template writes")

    def _prompt(self, at: int, anchor: int) -> str | None:
        """What follows piece `anchor` in the prompt for turn `at`; None if the template takes no such prompt."""
        return self._after(anchor, at, add_generation_prompt=True)

    def _tail(self, at: int, last: int) -> Tail:
        """The end of the turn whose last piece ends at `last`."""
        tail = self.after(at)
        if at == len(self.turns) - 1:
            return self._last_tail(tail, last)
        alone = self._alone(at, last)
        if alone is None:
            return self._first_mark(tail, last)
        ended = self._ended(alone)
        if ended is not None and tail.startswith(alone[:ended]):
            return Tail(last + ended, True)
        kept = tail[: self._common(alone, tail)].rstrip()
        marks = list(self.special.finditer(kept))
        is_ended = bool(marks) and marks[-1].end() == len(kept)
        return Tail(last + len(kept), is_ended)

    def _last_tail(self, tail: str, last: int) -> Tail:
        ended = self._ended(tail)
        return Tail(len(self.text), False) if ended is None else Tail(last + ended, True)

    def _first_mark(self, tail: str, last: int) -> Tail:
        """The end of a turn if the template refuses the turns up to it: the first mark after it."""
        mark = self.special.search(tail)
        return Tail(last + mark.end(), True) if mark and not tail[: mark.start()].strip() else Tail(last, False)

    def _alone(self, at: int, last: int) -> str | None:
        """What follows turn `at` when it is the last."""
        anchor = next(number for number, span in self.found.spans.items() if span[1] == last)
        return self._after(anchor, at + 1)

    def _after(self, anchor: int, count: int, add_generation_prompt: bool = False) -> str | None:
        """What follows piece `anchor` in a rendering of the first `count` turns; the whole of it without a piece."""
        turns, tools = self._marked
        try:
            made = places(self.template.render(turns[:count], tools, add_generation_prompt))
        except Refusal:
            return None
        if anchor < 0:
            return made.text
        place = made.at.get(anchor) or made.first.get(anchor)
        return made.text[place[1] :] if place else None

    @cached_property
    def _marked(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        marker = self.found.marker()
        return marker.turns(self.turns), marker.tools(self.tools)

    def _ended(self, tail: str) -> int | None:
        """The end of the end-of-turn mark in what follows a last turn; None without one.

        A mark at the very end counts, with all before it; if text follows (some templates always open the next turn),
        the first mark does.
        """
        kept = tail.rstrip()
        marks = list(self.special.finditer(kept))
        if not marks:
            return None
        return len(kept) if marks[-1].end() == len(kept) else marks[0].end()

    def _common(self, one: str, other: str) -> int:
        """Length of the common prefix of both, which never ends within a special token."""
        pairs = enumerate(zip(one, other, strict=False))
        length = next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
        for text in (one, other):
            for mark in self.special.finditer(text):
                if mark.start() < length < mark.end():
                    length = mark.start()
        return length
