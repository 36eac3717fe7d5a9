"""The page of all events, made from their types: `python -m tests.backend.run.events_page > docs/events.md`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import get_args

import msgspec
from msgspec import inspect as types

from backend.run import events
from backend.run.events import AnyEvent, Event, PhasePeak, PredictedFigures
from tests.backend.run.event_examples import EXAMPLES

HEAD = """\
# Events

Made from the types in `backend/run/events.py`; change them and run
`python -m tests.backend.run.events_page > docs/events.md`.

A run's folder has its events in `events.jsonl`, and `fttui train --json` prints the same lines: one JSON object per
line, appended as things happen. Each has

| field | type | meaning |
|---|---|---|
| `t` | number | unix seconds |
| `event` | string | its name, one of those below |

and the fields of its event. Units are in the names (`_bytes`, `_seconds`, `_percent`) or in the meaning. A value that
is not known is null; a field that is "left out if not known" is missing instead.

Read the lines with tolerance, as `fttui` does: the last one may be half written, and another version may write events
and fields that you don't know, or leave some out.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for kind in get_args(AnyEvent):
        lines += [f"## `{kind.__struct_config__.tag}`", "", *_described(kind), *_example(kind)]
    for kind, name in (
        (PredictedFigures, "`foreseen` of `run_started`"),
        (PhasePeak, "each of `phases` of `measured`"),
    ):
        lines += [f"## In {name}", "", *_described(kind)]
    return "\n".join(lines)


def _described(kind: type[msgspec.Struct]) -> Iterator[str]:
    """An event type's description, and a table of its fields."""
    meanings = _field_docstrings(kind)
    absent = kind().left_out_if_none() if issubclass(kind, Event) else frozenset()
    yield from (inspect.cleandoc(kind.__doc__ or ""), "")
    yield from ("| field | type | meaning |", "|---|---|---|")
    for field in types.type_info(kind).fields:  # type: ignore[attr-defined]
        if field.name != "t":
            optional = field.encode_name in absent
            meaning = _flat(meanings[field.name]) + (" Left out if not known." if optional else "")
            yield f"| `{field.encode_name}` | {_type(field.type, nullable=not optional)} | {meaning} |"
    yield ""


def _example(kind: type[msgspec.Struct]) -> Iterator[str]:
    (event,) = (event for event in EXAMPLES if type(event) is kind)
    yield from ("```json", msgspec.json.encode(events.record(event, 0.0)).decode(), "```", "")


def _field_docstrings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Field -> the string under it in the source."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef))
    found = {}
    for node, text in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant), f"{kind}: {node.target.id}"
            found[node.target.id] = inspect.cleandoc(str(text.value.value))
    return found


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_NAMES = {types.IntType: "integer", types.FloatType: "number", types.StrType: "string", types.BoolType: "true or false"}


def _type(kind: types.Type, *, nullable: bool) -> str:
    """A type in JSON's words."""
    if isinstance(kind, types.UnionType):
        names = [_type(x, nullable=nullable) for x in kind.types if not isinstance(x, types.NoneType)]
        null = ["null"] if nullable and len(names) < len(kind.types) else []
        return " or ".join([*names, *null])
    if isinstance(kind, types.DictType):
        of = kind.value_type
        return "object" if isinstance(of, types.AnyType) else f"object of {_type(of, nullable=nullable)}"
    if isinstance(kind, types.ListType):
        return f"list of {_type(kind.item_type, nullable=nullable)}"
    return "object" if isinstance(kind, types.StructType) else _NAMES[type(kind)]


if __name__ == "__main__":
    print(page(), end="")
