"""A chat template taken apart: the text around each turn, found from renders and checked on whole conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.data.chat.template import Refusal
from backend.data.chat.tokenizer import TextTokenizer

Turns = Sequence[tuple[str, str]]
"""(role, text) in order."""

_S, _U, _A, _V, _B, _W = (f"\ue0a1{x}\ue0a2" for x in "suavbw")
"""Stand-ins for texts, of the private use area: no template holds them."""
_PROOFS: tuple[Turns, ...] = tuple(
    (*system, *turns)
    for system in ((), (("system", "Answer in one line.\nBe kind."),))
    for turns in (
        (("user", "How many?\nThree."),),
        (("user", "How many?"), ("assistant", "Drei, \u4e09."), ("user", "And now?")),
        (("user", "a"), ("assistant", "b"), ("user", "c {x}"), ("assistant", "d\n\ne"), ("user", 'f "g"')),
    )
)
MOVED = "\n\n"
"""The text between a system text and the question if a template has no place for it, as in training."""


@dataclass(frozen=True)
class Around:
    """What a template writes before and after the text of a turn."""

    before: str
    after: str

    def text(self, content: str) -> str:
        """The turn."""
        return self.before + content + self.after


@dataclass(frozen=True)
class Pieces:
    """A template that writes turn after turn."""

    begin: str
    """Before all: the BOS token's text, or nothing."""
    lead: str
    """What follows it if no system text is given: a system text of the template's own, or nothing."""
    user: Around
    assistant: Around
    system: Around | None
    """None: a system text is put into the first question, followed by `joint`."""
    joint: str
    generation: str
    """After the last turn, where the answer begins."""

    def write(self, turns: Turns) -> str:
        """A conversation that ends with a question, ready for the answer."""
        kept = self.begin + ("" if turns[0][0] == "system" else self.lead)
        if self.system is None and turns[0][0] == "system":
            (_, system), (_, question), *rest = turns
            turns = (("user", system + self.joint + question), *rest)
        for role, content in turns:
            around = {"user": self.user, "assistant": self.assistant, "system": self.system}[role]
            assert around is not None
            kept += around.text(content)
        return kept + self.generation


def pieces(tokenizer: TextTokenizer) -> Pieces | None:
    """The template of `tokenizer`, taken apart; None if it does not write turn by turn."""
    if "strftime_now" in tokenizer.chat_template:
        return None  # it writes the current date
    try:
        found = _taken_apart(tokenizer)
        proved = all(found.write(turns) == _rendered(tokenizer, turns) for turns in _PROOFS)
    except (Refusal, _OtherwiseWritten):
        return None
    return found if proved else None


class _OtherwiseWritten(Exception):
    """Raised if the template does not write turn by turn."""


def _taken_apart(tokenizer: TextTokenizer) -> Pieces:
    talk = _render(tokenizer, (("user", _U), ("assistant", _A), ("user", _V)), answer=True)
    start, asked, between, _ = _split(talk, _U, _A, _V)
    closed = _split(_render(tokenizer, (("user", _U), ("assistant", _A))), _U, _A)[2]
    after_user = _split(_render(tokenizer, (("user", _U),)), _U)[1]
    opened = _split(_render(tokenizer, (("user", _U),), answer=True), _U)[1]
    user = Around(_rest(between, closed), after_user)
    assistant = Around(_rest(asked, after_user), closed)
    opening = _before(start, user.before)
    bos = tokenizer.special.get("bos_token", "")
    # a BOS text that every turn begins with is the turn's own (SmolLM2's is <|im_start|>)
    begin = bos if bos and opening.startswith(bos) and not user.before.startswith(bos) else ""
    system, joint = _system(tokenizer, start, user, begin)
    return Pieces(begin, _rest(opening, begin), user, assistant, system, joint, _rest(opened, after_user))


def _system(tokenizer: TextTokenizer, start: str, user: Around, begin: str) -> tuple[Around | None, str]:
    """The text around a system text; or what joins it to the question that it is put into."""
    try:
        before, between, _ = _split(_render(tokenizer, (("system", _S), ("user", _U)), answer=True), _S, _U)
    except (Refusal, _OtherwiseWritten):
        return None, MOVED
    if before == start and not between.endswith(user.before):
        return None, between
    return Around(_rest(before, begin), _before(between, user.before)), ""


def _split(text: str, *marks: str) -> list[str]:
    """The pieces of `text` around `marks`, each of which occurs in it once, in this order."""
    found = []
    for mark in marks:
        piece, is_there, text = text.partition(mark)
        if not is_there:
            raise _OtherwiseWritten
        found.append(piece)
    return [*found, text]


def _rest(text: str, start: str) -> str:
    if not text.startswith(start):
        raise _OtherwiseWritten
    return text[len(start) :]


def _before(text: str, end: str) -> str:
    if not text.endswith(end):
        raise _OtherwiseWritten
    return text[: len(text) - len(end)]


def _rendered(tokenizer: TextTokenizer, turns: Turns) -> str:
    """The turns rendered as in training: a system text that the template refuses or drops goes before the question."""
    (role, system), *rest = turns
    if role != "system":
        return _render(tokenizer, turns, answer=True)
    try:
        text = _render(tokenizer, turns, answer=True)
    except Refusal:
        text = ""
    return (
        text if system in text else _render(tokenizer, (("user", system + MOVED + rest[0][1]), *rest[1:]), answer=True)
    )


def _render(tokenizer: TextTokenizer, turns: Turns, *, answer: bool = False) -> str:
    return tokenizer.render([{"role": role, "content": text} for role, text in turns], add_generation_prompt=answer)
