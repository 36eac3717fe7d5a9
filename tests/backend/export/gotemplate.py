"""The part of Go's templates that Modelfiles use: range over `.Messages`, if and else if, `eq`, `not`, variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

_ACTION = re.compile(r"\{\{ (.*?) \}\}", re.DOTALL)


def render(source: str, messages: Sequence[dict[str, str]]) -> str:
    """What Ollama would render for these messages (successive roles differ, and there are no tool messages)."""
    parts = _ACTION.split(source)
    tokens = [("text" if at % 2 == 0 else "action", part) for at, part in enumerate(parts)]
    system = "\n\n".join(x["content"] for x in messages if x["role"] == "system")
    tree = _block(iter(tokens))[0]
    return "".join(_run(tree, {".System": system}, messages))


def _block(tokens: Iterator[tuple[str, str]]) -> tuple[list[Any], str]:
    """The nodes up to `end` or `else`, and which of the two ended them."""
    nodes: list[Any] = []
    for kind, part in tokens:
        if kind == "text" or part.split()[0] not in ("if", "range", "end", "else"):
            nodes.append((kind, part))
        elif part.startswith("range "):
            nodes.append(("range", _block(tokens)[0]))
        elif part.startswith("if "):
            nodes.append(_branch(part.removeprefix("if "), tokens))
        else:
            return nodes, part
    return nodes, ""


def _branch(condition: str, tokens: Iterator[tuple[str, str]]) -> Any:
    then, ended = _block(tokens)
    other: list[Any] = []
    if ended.startswith("else if "):
        other = [_branch(ended.removeprefix("else if "), tokens)]
    return ("if", condition, then, other)


def _run(nodes: list[Any], scope: dict[str, Any], messages: Sequence[dict[str, str]]) -> Iterator[str]:
    for node in nodes:
        if node[0] == "text":
            yield node[1]
        elif node[0] == "range":
            for message in messages:
                scope |= {".Role": message["role"], ".Content": message["content"]}
                yield from _run(node[1], scope, messages)
        elif node[0] == "if":
            yield from _run(node[2] if _holds(node[1], scope) else node[3], scope, messages)
        elif (assigned := re.fullmatch(r"(\$\w+) :?= (true|false)", node[1])) is not None:
            scope[assigned[1]] = assigned[2] == "true"
        else:
            yield scope[node[1]]


def _holds(condition: str, scope: dict[str, Any]) -> bool:
    if (equal := re.fullmatch(r'eq (\.\w+) "(\w+)"', condition)) is not None:
        return bool(scope[equal[1]] == equal[2])
    assert condition.startswith("not ")
    return not scope[condition.removeprefix("not ")]
