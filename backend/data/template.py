"""Chat templates, rendered as transformers renders them (its `render_jinja_template`, version 5), without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
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
        self._compiled = _compile(source)
        self.knows_tools = "tools" in source
        self.knows_calls = "tool_calls" in source

    def render(self, turns: Turns, tools: Turns = (), add_generation_prompt: bool = False) -> str:
        """The turns as one text. Raises Refusal where the template does not take them."""
        import jinja2

        try:
            return self._compiled.render(
                messages=[dict(turn) for turn in turns],
                tools=[dict(tool) for tool in tools] or None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special,
            )
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise Refusal(str(error).split("\n", 1)[0] or type(error).__name__) from None


@cache
def _compile(source: str) -> jinja2.Template:
    import jinja2

    try:
        return _environment().from_string(source)
    except jinja2.TemplateSyntaxError as error:
        what = f"the model's chat template is broken on line {error.lineno} ({error.message})"
        raise UserError(f"{what}; mend chat_template.jinja in its folder", "model") from None


@cache
def _environment() -> jinja2.Environment:
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    extensions: list[Any] = [_generation_tag(), jinja2.ext.loopcontrols]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _generation_tag() -> type[jinja2.ext.Extension]:
    """`{% generation %}...{% endgeneration %}`: the text within, as if the tags were not there.

    What is scored is found from renders of the turns (see masking.py), for every template in the same way.
    """
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_inner"), [], [], body).set_lineno(line)

        def _inner(self, caller: Any) -> str:
            return str(caller())

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
