"""Which characters of a rendered conversation are scored, by construction: turn by turn, from renders.

A turn's text is what the whole conversation holds between the render of the turns before it (with the
generation prompt, as at inference) and the render of the turns up to it. Where a template writes a turn
otherwise when more turns follow (it drops earlier thinking, or moves the system prompt), the turn is found by
marks set around its text instead, and only if taking the marks out gives the whole conversation back exactly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.data.conversation import Conversation, Message
from backend.data.template import Refusal, Template, Turns
from backend.data.tokenizer import TextTokenizer

OPEN, CLOSE = "\ue0a1\ue0a2", "\ue0a3\ue0a4"
"""Marks of the private use area, which no text or template holds."""

SYSTEM_MOVED = "system moved"
TOOLS_LEFT_OUT = "tools left out"
CALLS_AS_TEXT = "calls as text"
TURNS_LEFT_OUT = "turns left out"
THINKING_LEFT_OUT = "thinking left out"
TEXT_LEFT_OUT = "text left out"


@dataclass(frozen=True)
class Rendered:
    """A conversation as text."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """Scored ranges of characters, in order."""
    notes: tuple[str, ...] = ()
    """What was changed because the template does not know it: SYSTEM_MOVED, TOOLS_LEFT_OUT, CALLS_AS_TEXT,
    TURNS_LEFT_OUT, THINKING_LEFT_OUT, TEXT_LEFT_OUT."""


def render(conversation: Conversation, tokenizer: TextTokenizer) -> Rendered:
    """The conversation as the template writes it, with its scored ranges.

    Raises Refusal where the template does not take it, or where a turn can't be told apart in what it writes.
    """
    template = tokenizer.template(bool(conversation.tools))
    messages, notes = _without_calls(conversation.messages, template)
    tools = conversation.tools if template.knows_tools else ()
    if conversation.tools and not tools:
        notes = (*notes, TOOLS_LEFT_OUT)
    turns, text, moved = _whole(messages, tools, template)
    if moved:
        notes = (*notes, SYSTEM_MOVED)
        messages = messages[1:]
    if any(not x.scored and x.content.strip() not in text for x in messages if x.role != "assistant"):
        notes = (*notes, TURNS_LEFT_OUT)
    notes = (*notes, *_left_out([x for x in messages if x.scored], text))
    writer = _Writer(template, turns, tools, text, tokenizer.assistant_header)
    spans = tuple(writer.span(at) for at, message in enumerate(messages) if message.scored)
    return Rendered(text, spans, notes)


def prompt_turns(conversation: Conversation, tokenizer: TextTokenizer) -> tuple[list[dict[str, Any]], Turns]:
    """The turns before the last answer, and the tools, as `render` would give them to the template."""
    template = tokenizer.template(bool(conversation.tools))
    messages, _ = _without_calls(conversation.messages, template)
    tools = conversation.tools if template.knows_tools else ()
    turns, _, _ = _whole(messages, tools, template)
    return turns[:-1], tools


def _left_out(answers: Sequence[Message], text: str) -> Iterator[str]:
    """What of the scored turns the template does not write: thinking, or the text beside tool calls."""
    inline = [x.content.rpartition("</think>")[0].rpartition("<think>")[2] for x in answers]
    given = [x.extra.get("reasoning_content", "") for x in answers]
    if any(thought.strip() not in text for thought in (*inline, *given)):
        yield THINKING_LEFT_OUT
    beside = [x.content.rpartition("</think>")[2].strip() for x in answers if "tool_calls" in x.extra]
    if any(said not in text for said in beside):
        yield TEXT_LEFT_OUT


def _without_calls(messages: tuple[Message, ...], template: Template) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Tool calls as JSON in the answer's text, for templates that would drop them."""
    if template.knows_calls or not any("tool_calls" in message.extra for message in messages):
        return messages, ()
    return tuple(map(_call_as_text, messages)), (CALLS_AS_TEXT,)


def _call_as_text(message: Message) -> Message:
    if "tool_calls" not in message.extra:
        return message
    calls = [json.dumps(call["function"], ensure_ascii=False) for call in message.extra["tool_calls"]]
    extra = {key: value for key, value in message.extra.items() if key != "tool_calls"}
    return message._replace(content="\n".join([x for x in (message.content,) if x] + calls), extra=extra)


def _whole(messages: tuple[Message, ...], tools: Turns, template: Template) -> tuple[list[dict[str, Any]], str, bool]:
    """Turns, their text, and whether the system prompt went into the first question (the template has no place)."""
    turns = [message.as_dict() for message in messages]
    can_move = len(turns) > 1 and turns[0]["role"] == "system" and turns[1]["role"] == "user"
    try:
        text = template.render(turns, tools)
    except Refusal:
        if not can_move:
            raise
    else:
        if not can_move or turns[0]["content"].strip() in text:
            return turns, text, False
    first = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
    turns = [first, *turns[2:]]
    return turns, template.render(turns, tools), True


@dataclass(frozen=True)
class _Writer:
    """Finds turns in one rendered conversation."""

    template: Template
    turns: list[dict[str, Any]]
    tools: Turns
    text: str
    header: str

    def span(self, at: int) -> tuple[int, int]:
        """Characters of turn `at`: after the generation prompt, to the end of its end-of-turn mark."""
        prefix = self._prefix(at)
        last = at == len(self.turns) - 1
        through = self.text if last else self.template.render(self.turns[: at + 1], self.tools)
        if prefix and len(prefix) < len(through) and self.text.startswith(prefix) and self.text.startswith(through):
            return len(prefix), len(through)
        return self._marked_span(at, prefix)

    def _prefix(self, at: int) -> str:
        """The turns before `at` with the generation prompt; empty where the template does not take them alone."""
        try:
            return self.template.render(self.turns[:at], self.tools, add_generation_prompt=True) if at else ""
        except Refusal:
            return ""

    def _marked_span(self, at: int, prefix: str) -> tuple[int, int]:
        marked = _marked(self.turns[at])
        whole = self.template.render([*self.turns[:at], marked, *self.turns[at + 1 :]], self.tools)
        alone = self.template.render([*self.turns[:at], marked], self.tools)
        opens, closes, plain = _unmarked(whole)
        alone_opens, alone_closes, alone_plain = _unmarked(alone)
        if plain != self.text or not 0 <= opens <= closes:
            raise Refusal(f"turn {at + 1} can't be told apart in what the chat template writes")
        tail = alone_plain[alone_closes:]
        if not plain.startswith(tail, closes):
            raise Refusal(f"the end of turn {at + 1} can't be told apart in what the chat template writes")
        lead = alone_plain[len(prefix) : alone_opens] if prefix and alone_plain.startswith(prefix) else None
        return self._start(at, plain[:opens], lead), closes + len(tail)

    def _start(self, at: int, before: str, lead: str | None) -> int:
        """Where the answer starts in the text `before` its first mark: after the generation prompt or the header."""
        if lead is not None and before.endswith(lead):
            return len(before) - len(lead)
        found = before.rfind(self.header) if self.header else -1
        if found < 0:
            raise Refusal(f"the start of turn {at + 1} can't be told apart in what the chat template writes")
        return found + len(self.header)


def _marked(turn: Mapping[str, Any]) -> dict[str, Any]:
    """The turn with marks around its text and calls; spaces and thinking, which templates strip, stay outside."""
    content = turn["content"] or ""  # null beside calls
    thought = content.rfind("</think>") + len("</think>") if "</think>" in content else 0
    core = content[thought:].strip()
    calls = json.loads(json.dumps(turn.get("tool_calls", [])))
    if not core and not calls:
        raise Refusal("an answer is empty")
    if core:
        starts = content.index(core, thought)
        end = "" if calls else CLOSE
        content = content[:starts] + OPEN + core + end + content[starts + len(core) :]
    elif calls:
        calls[0]["function"]["name"] = OPEN + calls[0]["function"]["name"]
    if calls:
        calls[-1]["function"]["name"] += CLOSE
    return {**turn, "content": content if core else turn["content"]} | ({"tool_calls": calls} if calls else {})


def _unmarked(text: str) -> tuple[int, int, str]:
    """Positions of the marks in the text without them, and that text; -1 where a mark is missing or doubled."""
    if text.count(OPEN) != 1 or text.count(CLOSE) != 1:
        return -1, -1, text
    plain = text.replace(OPEN, "")
    return text.index(OPEN), plain.index(CLOSE), plain.replace(CLOSE, "")
