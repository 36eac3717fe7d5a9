"""Tools and tool calls of every usual shape, also stored as JSON text, in OpenAI's function shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from backend.data.turns.cells import decoded, shown
from backend.data.turns.faults import RowError

ARGUMENTS = ("arguments", "args", "input", "parameters")
SCHEMAS = frozenset({"parameters", "input_schema", "inputSchema"})
"""Keys of a tool that describe its arguments."""
TOOL_KEYS = frozenset({"name", "function", "functionDeclarations", "type"})
"""Keys of one tool."""
NULLS = ("null", "none", "nan")
"""What stands for nothing once it was written as text."""
IDS = ("id", "call_id", "tool_call_id")


def tools_of(value: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    """The tools of a row, from a list or an object, as they are or as JSON text; empty if there are none."""
    value = decoded(value)
    if isinstance(value, str):
        if not value.strip() or is_nothing(value):
            return ()
        raise RowError(f"{where} has tools that are no JSON list ({shown(value)}); correct or empty them")
    if not value or value != value:  # also the NaN of empty cells
        return ()
    listed = [decoded(tool) for tool in (value if isinstance(value, list) else _listed(value))]
    if not all(isinstance(tool, Mapping) for tool in listed):
        raise RowError(f"{where} has tools that are no list of objects ({shown(value)}); correct or empty them")
    tools = tuple([_tool(tool) for part in listed for tool in (part.get("functionDeclarations") or [part])])
    if nameless := next((x for x in tools if "function" in x and not isinstance(x["function"].get("name"), str)), None):
        raise RowError(f"{where} has a tool without a name ({shown(nameless['function'])}); add it or empty the tools")
    return tools


def _listed(value: Any) -> list[Any]:
    """The tools of an object: one tool, a list within it, or tools by their names."""
    if not isinstance(value, Mapping) or not TOOL_KEYS.isdisjoint(value):
        return [value]
    within = next((value[key] for key in ("tools", "functions") if isinstance(value.get(key), list)), None)
    if within is not None:
        return list(within)
    if value and all(isinstance(tool, Mapping) for tool in value.values()):
        return [tool if "function" in tool else {"name": name, **tool} for name, tool in value.items()]
    return [value]


def are_tools(value: Any) -> bool:
    """The cell holds descriptions of tools, as they are or as JSON text."""
    value = decoded(value)
    listed = [decoded(x) for x in value] if isinstance(value, list) else [value]
    return bool(listed) and all(isinstance(x, Mapping) and _describes(x.get("function", x)) for x in listed)


def _describes(function: Any) -> bool:
    given = decoded(function)
    return isinstance(given, Mapping) and "name" in given and not SCHEMAS.isdisjoint(given)


def calls_of(value: Any, where: str) -> list[dict[str, Any]]:
    """The tool calls of a turn: a list or one call, as they are or as JSON text; none for null or nothing."""
    value = decoded(value)
    if not value or value != value or is_nothing(value):
        return []
    return [_call(decoded(call), where) for call in (value if isinstance(value, list) else [value])]


def are_calls(value: Any) -> bool:
    """The cell holds one tool call or several, each with a name and arguments, as they are or as JSON text."""
    value = decoded(value)
    calls = [decoded(x) for x in value] if isinstance(value, list) else [value]
    functions = [decoded(x.get("function", x)) if isinstance(x, Mapping) else x for x in calls]
    return bool(functions) and all(_is_call(x) and not set(ARGUMENTS).isdisjoint(x) for x in functions)


def is_nothing(value: Any) -> bool:
    """A text that was nothing before it was written as text."""
    return isinstance(value, str) and value.strip().lower() in NULLS


def written_calls(content: Any, where: str) -> tuple[list[dict[str, Any]], Any]:
    """A turn that is a call by its role: its calls, or (if the content is no call) the content as it is."""
    value = decoded(content)
    calls = value if isinstance(value, list) else [value]
    if not calls or not all(_is_call(call) for call in calls):
        return [], content
    return [_call(call, where) for call in calls], None


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(tool.get("function"), str):
        tool = {**tool, "function": decoded(tool["function"])}
    function = tool.get("function")
    if isinstance(function, Mapping):
        return {**tool, "function": _with_schema(function)} if isinstance(function.get("parameters"), str) else tool
    if "input_schema" in tool and "parameters" not in tool:
        schema = tool["input_schema"]
        tool = {key: value for key, value in tool.items() if key != "input_schema"} | {"parameters": schema}
    return {"type": "function", "function": _with_schema(tool)}


def _with_schema(function: Mapping[str, Any]) -> Mapping[str, Any]:
    """The description of the arguments as an object, if it is stored as JSON text."""
    if not isinstance(function.get("parameters"), str):
        return function
    return {**function, "parameters": decoded(function["parameters"])}


def _is_call(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("name"), str)


def _call(call: Any, where: str) -> dict[str, Any]:
    function = decoded(call.get("function", call)) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise RowError(f"{where} has a tool call without a function's name ({shown(call)}); add the name")
    arguments: Any = next((function[key] for key in ARGUMENTS if function.get(key) is not None), {})
    for _ in range(2):  # most templates take an object: as text it would be quoted twice
        if isinstance(arguments, str):
            arguments = _arguments(arguments)
    given = next((call[key] for key in IDS if isinstance(call.get(key), str)), None)
    kept = {"id": given} if given else {}
    return {"type": "function", **kept, "function": {"name": function["name"], "arguments": arguments}}


def _arguments(text: str) -> Any:
    """What a text encodes; arguments that are neither JSON nor as Python prints them stay as they are."""
    with suppress(ValueError, RecursionError):
        return json.loads(text or "{}")
    return decoded(text)
