"""Chat templates, rendered as transformers renders them (its `render_jinja_template`, version 5), without it."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from backend.data.chat import renderer
from backend.data.chat.rendering import GENERATION_CLOSE, GENERATION_OPEN, Answer, Request
from backend.errors import UserError

__all__ = ["GENERATION_CLOSE", "GENERATION_OPEN", "REASONING", "Endless", "Refusal", "Template", "Turns", "fallback"]

FALLBACK = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'].strip() + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'].strip() + '\\n\\n' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ 'Assistant: ' + message['content'].strip() + (eos_token or '') + '\\n\\n' }}"
    "{% else %}{{ 'Tool: ' + message['content'].strip() + '\\n\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""For base models, which have no template: plain text that any tokenizer knows, each answer ended by its EOS token."""

Turns = Sequence[Mapping[str, Any]]
REASONING = ("reasoning_content", "thinking", "reasoning")
"""Names of the field that holds an answer's thinking."""


class Refusal(ValueError):
    """A template does not take these turns; `str()` is its reason."""


class Endless(UserError):
    """A template takes too much time or memory, by `limit`, on the turns that `of` names."""

    def __init__(self, limit: str, of: str = "a question and an answer") -> None:
        self.limit = limit
        fix = "fix chat_template.jinja in its folder, shorten that text, or use another model"
        super().__init__(f"the model's chat template takes {limit} {of}; {fix}", "model")


def fallback(adds_bos: bool) -> str:
    """The template of a model that has none; it starts with BOS if the tokenizer starts texts with it."""
    return "{{ bos_token }}" + FALLBACK if adds_bos else FALLBACK


class Template:
    """One compiled chat template with its tokenizer's special tokens (`bos_token`, `eos_token` ...)."""

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        self.source = source
        self._special = dict(special)
        self._ahead: dict[bytes, Answer] = {}
        renderer.warm_up()
        self.knows_tools = "tools" in source
        self.knows_calls = "tool_calls" in source
        self.shapes: dict[Any, Any] = {}
        """What masking.py has learned of conversations of one shape (shapes.py)."""
        self.has_generation = "endgeneration" in source
        """The template itself marks what the model writes, with `{% generation %}`."""

    def render(
        self, turns: Turns, tools: Turns = (), add_generation_prompt: bool = False, *, generation_marks: bool = False
    ) -> str:
        """The turns as one text. Raises Refusal if the template does not take them, whatever it raises itself."""
        return self._rendered(self._messages(turns), tools, add_generation_prompt, generation_marks=generation_marks)

    @cached_property
    def writes_date(self) -> bool:
        """The template writes the day (or time) of rendering, so that the same rows give other tokens tomorrow."""
        if "strftime_now" not in self.source:
            return False
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
        try:
            return GENERATION_OPEN in self._rendered(self._messages(turns), marks_clock=True)
        except Refusal:
            return True

    @cached_property
    def writes_names(self) -> bool:
        """The template writes the names of those who speak."""
        if "name" not in self.source:
            return False
        turns = [{"role": role, "content": "x", "name": f"{role}_q"} for role in ("user", "assistant")]
        try:
            text = self._rendered(self._messages(turns))
        except Refusal:
            return True
        return "user_q" in text or "assistant_q" in text

    @cached_property
    def takes_parts(self) -> bool:
        """The template writes content only if it is a list of typed parts, as templates of some vision models do."""
        if "content" not in self.source or not re.search(r"\bin\s+\w+(\.content|\[.content.\])", self.source):
            return False
        turns = [{"role": "user", "content": "q_text"}, {"role": "assistant", "content": "a_text"}]

        def written(messages: list[dict[str, Any]]) -> bool:
            try:
                text = self._rendered(messages)
            except Refusal:
                return False
            return "q_text" in text and "a_text" in text

        return not written(turns) and written([_in_parts(turn) for turn in turns])

    def _messages(self, turns: Turns) -> list[dict[str, Any]]:
        made = [_aliased(turn) for turn in turns]
        return [_in_parts(turn) for turn in made] if self.takes_parts else made

    def ahead(self, conversations: Iterable[tuple[Turns, Turns]]) -> None:
        """Have these turns, each with its tools, rendered together: the next `render` of each has its text at once."""
        asked = [self._variables(self._messages(turns), tools, False) for turns, tools in conversations]
        self._ahead = dict(zip(asked, renderer.render(Request(self.source, asked)), strict=False))

    def _variables(self, messages: list[dict[str, Any]], tools: Turns, prompt: bool) -> bytes:
        made = {"messages": messages, "tools": [dict(tool) for tool in tools] or None, "documents": None}
        return pickle.dumps({**made, "add_generation_prompt": prompt, **self._special})

    def _rendered(
        self,
        messages: list[dict[str, Any]],
        tools: Turns = (),
        prompt: bool = False,
        *,
        generation_marks: bool = False,
        marks_clock: bool = False,
    ) -> str:
        variables = self._variables(messages, tools, prompt)
        answer = None if generation_marks or marks_clock else self._ahead.pop(variables, None)
        if answer is None:
            answer = renderer.render(Request(self.source, [variables], generation_marks, marks_clock))[0]
        match answer.kind:
            case "text":
                return answer.text
            case "limit":
                raise Endless(answer.text)
            case "broken":
                raise UserError(f"{answer.text}; fix chat_template.jinja in its folder", "model")
        raise Refusal(answer.text)


def _aliased(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Thinking under the names that templates read, as transformers passes it."""
    thinking = next((turn[key] for key in REASONING if turn.get(key) is not None), None)
    if thinking is None:
        return dict(turn)
    return {"thinking": thinking, **turn, "reasoning_content": thinking}


def _in_parts(turn: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(turn.get("content"), str):
        return dict(turn)
    return {**turn, "content": [{"type": "text", "text": turn["content"]}]}
