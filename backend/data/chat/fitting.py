"""A conversation in the form that a template takes: calls, arguments, ids of calls, the place of a system prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from backend.data.chat.pieces import Found, Note, find
from backend.data.chat.template import Refusal, Template, Turns
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.conversation import Conversation

SYSTEM_MOVED = "system moved"
TOOLS_LEFT_OUT = "tools left out"
CALLS_AS_TEXT = "calls as text"
IDS_REWRITTEN = "call ids rewritten"

_NAME, _KEY, _VALUE = "name_q", "key_q", "value_q"
_ID = "abcdef123"
_QUESTION = {"role": "user", "content": "question_q"}
_ANSWER = {"role": "assistant", "content": "answer_q"}
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "what",
        "parameters": {"type": "object", "properties": {_KEY: {"type": "string", "description": "what"}}},
    },
}


@dataclass(frozen=True)
class CallForm:
    """How a template takes tool calls."""

    content: str | None
    """What an answer without text has as `content`: some templates look for none, others add to it."""
    as_object: bool
    """Arguments are an object, or else its JSON text."""


@dataclass(frozen=True)
class Fitted:
    """Turns that the template takes, and their text."""

    turns: list[dict[str, Any]]
    tools: Turns
    text: str
    notes: tuple[Note, ...]
    sources: tuple[int, ...]
    """For each turn, the number of the message it comes from."""
    found: Found | None = None
    """Their pieces, if they had to be looked for."""


def fitted(conversation: Conversation, tokenizer: TextTokenizer) -> Fitted:
    """The conversation as the template takes it. Raises Refusal with the template's own reason if it takes none."""
    template = tokenizer.template(bool(conversation.tools))
    plain = _as_it_is(conversation, template)
    reason: Refusal | None = None
    for attempt in _attempts(plain):
        try:
            made = replace(attempt, text=template.render(attempt.turns, plain.tools))
        except Refusal as refusal:
            reason = reason or refusal
            continue
        return _with_system(made, template)
    raise Refusal(f"{reason}{_hint(plain.turns, template)}")


def render_ahead(conversations: Sequence[Conversation], tokenizer: TextTokenizer) -> None:
    """Have the first attempt at each of these rendered together, which takes far less time than one by one."""
    for with_tools in (False, True):
        template = tokenizer.template(with_tools)
        plain = [_as_it_is(each, template) for each in conversations if bool(each.tools) == with_tools]
        if plain:
            template.ahead([(each.turns, each.tools) for each in plain])


def _as_it_is(conversation: Conversation, template: Template) -> Fitted:
    turns, notes = _with_calls([message.as_dict() for message in conversation.messages], template)
    tools = conversation.tools if template.knows_tools else ()
    if conversation.tools and not tools:
        notes = (*notes, Note(TOOLS_LEFT_OUT))
    return Fitted(turns, tools, "", notes, tuple(range(len(turns))))


def _hint(turns: Turns, template: Template) -> str:
    """What about the turns a template may not take, and what to do about it; empty if nothing stands out."""
    roles = [turn["role"] for turn in turns]
    if "tool" in roles and "tool" not in template.source:
        place = roles.index("tool") + 1
        return f" (turn {place} is a tool's result: use a model whose chat template takes tools)"
    if (at := next((at for at, turn in enumerate(turns) if len(turn.get("tool_calls") or ()) > 1), -1)) >= 0:
        return f" (turn {at + 1} has several tool calls: give each a turn of its own, followed by its result)"
    if (at := next((at for at, pair in enumerate(pairwise(roles)) if pair[0] == pair[1] != "tool"), -1)) >= 0:
        return f" (turns {at + 1} and {at + 2} are both of {roles[at]}: join them)"
    spoken = [role for role in roles if role != "system"]
    return " (it begins with an answer: remove that turn)" if spoken[:1] == ["assistant"] else ""


def _attempts(plain: Fitted) -> Iterator[Fitted]:
    """The turns as they are, and then changed as templates that refuse them may want it."""
    yield plain
    moved = _moved(plain)
    if moved is not None:
        yield moved
    if any(turn.get("tool_calls") or turn["role"] == "tool" for turn in plain.turns):
        yield _with_short_ids(plain)
        if moved is not None:
            yield _with_short_ids(moved)


def _with_system(made: Fitted, template: Template) -> Fitted:
    """The turns with the system prompt put before the question, if the template did not write it."""
    if Note(SYSTEM_MOVED) in made.notes or not any(x["role"] == "system" and x["content"].strip() for x in made.turns):
        return made
    if all(x["content"].strip() in made.text for x in made.turns if x["role"] == "system") and not _is_doubtful(made):
        return made
    found = find(template, made.turns, made.tools, made.text)
    dropped = [found.pieces[n].turn for n in range(len(found.pieces)) if found.is_left_out(n)]
    moved = _moved(made) if any(made.turns[at]["role"] == "system" for at in dropped if at >= 0) else None
    if moved is None:
        return replace(made, found=found)
    with suppress(Refusal):
        return replace(moved, text=template.render(moved.turns, moved.tools))
    return replace(made, found=found)


def _is_doubtful(made: Fitted) -> bool:
    """Whether the system prompt may only seem to be written, as another turn or a short template has its words."""
    system = [x["content"].strip() for x in made.turns if x["role"] == "system"]
    others = [str(x.get("content") or "") for x in made.turns if x["role"] != "system"]
    return any(made.text.count(x) <= sum(other.count(x) for other in others) for x in system if x)


def _moved(made: Fitted) -> Fitted | None:
    """System prompts at the start of the question that follows them; None if there is nothing to move."""
    turns: list[dict[str, Any]] = []
    sources: list[int] = []
    waiting: list[str] = []
    for source, turn in zip(made.sources, made.turns, strict=True):
        if turn["role"] == "system":
            waiting += [turn["content"]] if turn["content"].strip() else []
            continue
        if waiting and turn["role"] == "user":
            turn = {**turn, "content": "\n\n".join([*waiting, turn["content"]])}
            waiting = []
        turns.append(turn)
        sources.append(source)
    if len(turns) == len(made.turns) or waiting or not turns:
        return None
    said = any(turn["role"] == "system" and turn["content"].strip() for turn in made.turns)
    notes = (*made.notes, Note(SYSTEM_MOVED)) if said else made.notes
    return replace(made, turns=turns, sources=tuple(sources), notes=notes)


def _with_short_ids(made: Fitted) -> Fitted:
    """Ids of nine letters and digits, as the strictest templates want them; a result without one answers in order."""
    known: dict[str, str] = {}
    open_calls: list[str] = []
    turns = []
    count = 0
    for turn in made.turns:
        if turn.get("tool_calls"):
            calls = []
            for call in turn["tool_calls"]:
                count += 1
                short = f"call{count:05d}"
                if isinstance(call.get("id"), str):
                    known[call["id"]] = short
                open_calls.append(short)
                calls.append({**call, "id": short})
            turn = {**turn, "tool_calls": calls}
        elif turn["role"] == "tool":
            answered = known.get(turn.get("tool_call_id", "")) or (open_calls[0] if open_calls else "call00000")
            open_calls = [x for x in open_calls if x != answered]
            turn = {**turn, "tool_call_id": answered}
        turns.append(turn)
    return replace(made, turns=turns, notes=(*made.notes, Note(IDS_REWRITTEN)))


def _with_calls(turns: list[dict[str, Any]], template: Template) -> tuple[list[dict[str, Any]], tuple[Note, ...]]:
    """Tool calls in the template's form, or as JSON in the answer's text if it would drop them."""
    if not any(turn.get("tool_calls") for turn in turns):
        return [_said(turn) for turn in turns], ()
    form = call_form(template)
    if form is None:
        return [_call_as_text(turn) for turn in turns], (Note(CALLS_AS_TEXT),)
    return [_in_form(turn, form) for turn in turns], ()


def _said(turn: dict[str, Any]) -> dict[str, Any]:
    return {**turn, "content": ""} if turn["content"] is None else turn


def _in_form(turn: dict[str, Any], form: CallForm) -> dict[str, Any]:
    if not turn.get("tool_calls"):
        return _said(turn)
    calls = []
    for call in turn["tool_calls"]:
        function = call["function"]
        arguments = _arguments(function.get("arguments"), form.as_object)
        calls.append({**call, "function": {**function, "arguments": arguments}})
    return {**turn, "content": turn["content"] or form.content, "tool_calls": calls}


def _arguments(value: Any, as_object: bool) -> Any:
    if not as_object:
        return value if isinstance(value, str) else json.dumps({} if value is None else value, ensure_ascii=False)
    if isinstance(value, str):
        with suppress(json.JSONDecodeError):  # arguments that are not JSON stay as they are
            return json.loads(value or "{}")
    return {} if value is None else value


def _call_as_text(turn: dict[str, Any]) -> dict[str, Any]:
    if not turn.get("tool_calls"):
        return _said(turn)
    calls = [json.dumps(call["function"], ensure_ascii=False) for call in turn["tool_calls"]]
    kept = {key: value for key, value in turn.items() if key != "tool_calls"}
    return {**kept, "content": "\n".join([x for x in (turn["content"],) if x] + calls)}


@lru_cache(maxsize=64)
def call_form(template: Template) -> CallForm | None:
    """The form in which the template writes a call's name and arguments best; None if it writes no calls."""
    if not template.knows_calls:
        return None
    forms = [CallForm(content, as_object) for as_object in (True, False) for content in ("", None)]
    scores = [max(_score(template, form, turns) for turns in _call_probes(form)) for form in forms]
    best = max(scores)
    return forms[scores.index(best)] if best >= 0 else None


def _call_probes(form: CallForm) -> Iterator[list[dict[str, Any]]]:
    """Conversations with a call: some end with it and some go on, since a template may refuse either kind."""
    arguments: Any = {_KEY: _VALUE} if form.as_object else json.dumps({_KEY: _VALUE})
    call = {"type": "function", "id": _ID, "function": {"name": _NAME, "arguments": arguments}}
    called = {"role": "assistant", "content": form.content, "tool_calls": [call]}
    result = {"role": "tool", "content": "result_q", "tool_call_id": _ID, "name": "name_r"}
    yield [_QUESTION, called, result, _ANSWER]
    yield [_QUESTION, called]


def _score(template: Template, form: CallForm, turns: Sequence[Mapping[str, Any]]) -> int:
    """How well the template writes the call: -1 not, 0 without arguments, 1 quoted as a text or as Python, 2 well."""
    try:
        text = template.render(turns, [_TOOL] if template.knows_tools else ())
        without = template.render([_QUESTION, _ANSWER], [_TOOL] if template.knows_tools else ())
    except Refusal:
        return -1
    if text.count(_NAME) <= without.count(_NAME):
        return -1
    if _VALUE not in text:
        return 0
    is_odd = f"'{_KEY}'" in text or f'\\"{_KEY}' in text or (form.content is None and "None" in text)
    return 1 if is_odd else 2
