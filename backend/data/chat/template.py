"""Chat templates, rendered as transformers renders them (its `render_jinja_template`, version 5), without it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from backend.errors import UserError

if TYPE_CHECKING:
    import jinja2

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
GENERATION_OPEN, GENERATION_CLOSE = "\U0010fff0", "\U0010fff1"
"""Around what stands in `{% generation %}` when it is asked for; of the private use area, as all marks are."""


class Refusal(ValueError):
    """A template does not take these turns; `str()` is its reason."""


def fallback(adds_bos: bool) -> str:
    """The template of a model that has none; it starts with BOS where the tokenizer starts texts with it."""
    return "{{ bos_token }}" + FALLBACK if adds_bos else FALLBACK


class Template:
    """One compiled chat template with its tokenizer's special tokens (`bos_token`, `eos_token` ...)."""

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        self.source = source
        self._special = dict(special)
        self._compiled = _compile(source, False)
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
        compiled = _compile(self.source, True) if generation_marks else self._compiled
        return self._rendered(compiled, turns, tools, add_generation_prompt, {})

    @cached_property
    def writes_date(self) -> bool:
        """The template writes the day (or time) of rendering, so that the same rows give other tokens tomorrow."""
        if "strftime_now" not in self.source:
            return False
        clock = {"strftime_now": lambda form: GENERATION_OPEN}
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
        try:
            return GENERATION_OPEN in self._rendered(self._compiled, turns, (), False, clock)
        except Refusal:
            return True

    @cached_property
    def takes_parts(self) -> bool:
        """The template writes content only if it is a list of typed parts, as some of models that see images do."""
        if "content" not in self.source or not re.search(r"\bin\s+\w+(\.content|\[.content.\])", self.source):
            return False
        turns = [{"role": "user", "content": "q_text"}, {"role": "assistant", "content": "a_text"}]

        def written(messages: list[dict[str, Any]]) -> bool:
            try:
                text = self._compiled.render(messages=messages, tools=None, documents=None, **self._special)
            except Exception:  # noqa: BLE001 - a template is a program: it may raise anything
                return False
            return "q_text" in text and "a_text" in text

        return not written(turns) and written([_in_parts(turn) for turn in turns])

    def _messages(self, turns: Turns) -> list[dict[str, Any]]:
        made = [_aliased(turn) for turn in turns]
        return [_in_parts(turn) for turn in made] if self.takes_parts else made

    def _rendered(
        self, compiled: jinja2.Template, turns: Turns, tools: Turns, prompt: bool, more: Mapping[str, Any]
    ) -> str:
        try:
            return compiled.render(
                messages=self._messages(turns),
                tools=[dict(tool) for tool in tools] or None,
                documents=None,
                add_generation_prompt=prompt,
                **self._special,
                **more,
            )
        except Exception as error:  # noqa: BLE001 - a template is a program: it may raise anything
            raise Refusal(str(error).split("\n", 1)[0] or type(error).__name__) from None


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


@cache
def _compile(source: str, generation_marks: bool) -> jinja2.Template:
    import jinja2

    try:
        return _environment(generation_marks).from_string(source)
    except jinja2.TemplateSyntaxError as error:
        what = f"the model's chat template is broken on line {error.lineno} ({error.message})"
    except Exception as error:  # noqa: BLE001 - such as RecursionError
        what = f"the model's chat template can't be compiled ({type(error).__name__})"
    raise UserError(f"{what}; fix chat_template.jinja in its folder", "model")


@cache
def _environment(generation_marks: bool) -> jinja2.Environment:
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    extensions: list[Any] = [_generation_tag(generation_marks), jinja2.ext.loopcontrols]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _generation_tag(marks: bool) -> type[jinja2.ext.Extension]:
    """`{% generation %}...{% endgeneration %}`: the text within, between `marks` if masking.py asks for them."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_inner"), [], [], body).set_lineno(line)

        def _inner(self, caller: Any) -> str:
            return f"{GENERATION_OPEN}{caller()}{GENERATION_CLOSE}" if marks else str(caller())

    return Generation


def _raise(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """json.dumps: jinja2's own filter escapes HTML characters."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
