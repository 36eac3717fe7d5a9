"""Odd turns of conversations, counted as they pass by: they are trained on, but seldom meant."""

from __future__ import annotations

from collections.abc import Mapping

from backend.data.conversation import Conversation
from backend.data.finding import SHOWN_ROWS, Finding

TEXTS = {
    "answers-in-a-row": (
        "{rows} with two answers in a row: the model learns to stop after the first of them.",
        "join them to one answer, or mark the first with `train: false`",
    ),
    "questions-in-a-row": ("{rows} with two questions in a row.", "join them to one question"),
    "arguments-as-text": (
        "{rows} with arguments of a tool call that are no JSON: they are learned as they are.",
        "write them as a JSON object",
    ),
    "tools-twice": (
        "{rows} whose system prompt describes the tools that are also given as tools: a chat template "
        "that takes tools writes them again.",
        "take them out of the system prompt, or remove the tools beside it",
    ),
    "empty-answers": ("{rows} with an empty answer between others, which is not trained on.", "fill or remove it"),
}


class Oddities:
    """Counts of odd turns, in bounded memory."""

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = {kind: [] for kind in TEXTS}
        self._counts = dict.fromkeys(TEXTS, 0)

    def add(self, example: Conversation) -> None:
        """Look at one conversation of more than a question and an answer without calls."""
        before = ""
        found: dict[str, None] = {}
        if example.tools and _describes_tools(example):
            found["tools-twice"] = None
        for message in example.messages:
            if message.role == before and before == "user":
                found["questions-in-a-row"] = None
            elif message.role == "assistant":
                if before == "assistant":
                    found["answers-in-a-row"] = None
                if not message.scored and not message.content.strip() and "tool_calls" not in message.extra:
                    found["empty-answers"] = None
                if any(isinstance(call["function"]["arguments"], str) for call in message.extra.get("tool_calls", ())):
                    found["arguments-as-text"] = None
            before = message.role
        for kind in found:
            self._counts[kind] += 1
            if len(self._rows[kind]) < SHOWN_ROWS:
                self._rows[kind].append(example.row - 1)

    def findings(self) -> tuple[Finding, ...]:
        """One for each kind that was met."""
        return tuple(self._finding(kind, count) for kind, count in self._counts.items() if count)

    def _finding(self, kind: str, count: int) -> Finding:
        text, fix = TEXTS[kind]
        rows = "There is 1 row" if count == 1 else f"There are {count:,} rows"
        return Finding(
            "notes" if kind == "questions-in-a-row" else "warns",
            kind,
            text.format(rows=rows),
            fix,
            tuple(self._rows[kind]),
            count,
        )


def _describes_tools(example: Conversation) -> bool:
    """The system prompt holds each tool's name and description."""
    system = "\n".join(x.content for x in example.messages if x.role == "system")
    functions = [tool.get("function", tool) for tool in example.tools] if system else []
    said = [(str(x.get("name")), str(x.get("description") or "")) for x in functions if isinstance(x, Mapping)]
    return any(text for _, text in said) and all(text in system for texts in said for text in texts)
