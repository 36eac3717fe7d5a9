"""What tokenising found out about rows, as findings."""

from __future__ import annotations

from typing import NamedTuple

from backend.data.chat.control import ALREADY_RENDERED, CONTROL_KEPT, CONTROL_TOKENS, FOREIGN_MARKS
from backend.data.chat.fitting import CALLS_AS_TEXT, IDS_REWRITTEN, SYSTEM_MOVED, TOOLS_LEFT_OUT
from backend.data.chat.masking import (
    ARGUMENTS_LEFT_OUT,
    CALLS_LEFT_OUT,
    DEFAULT_SYSTEM,
    EMPTY_ANSWER,
    END_IS_TEXT,
    NAMES_LEFT_OUT,
    NO_END_EARLIER,
    PROMPT_DIFFERS,
    TEXT_LEFT_OUT,
    THINKING_LEFT_OUT,
    TURNS_LEFT_OUT,
    WRITES_DATE,
)
from backend.data.chat.tally import BEYOND_EMBEDDING, Tally
from backend.data.chat.tokens import CONTROL_IN_DOCUMENT, EOS_APPENDED, NO_END
from backend.data.finding import Finding, Severity, finding

STAND_IN = (
    "The model has no chat template: turns are written as `User: ...` and `Assistant: ...`, saved with the result."
)
ANOTHER_MODEL = "use a model whose chat template writes it, or take it out of the data"
RAW_TEXT = "give questions and answers as plain text: the model's own chat template writes the marks"
LAST_ONLY = "--set train_on_turns=last trains the last answer alone"
CONTROL_AS_TOKENS = "--set special_tokens_in_data=true makes them tokens again; or take them out of the data"


class FindingText(NamedTuple):
    """The wording of one kind in Tally. `{rows}` is the count of rows, `{value}` the first value found."""

    severity: Severity
    kind: str
    text: str
    fix: str = ""


TALLIED: dict[str, FindingText] = {
    BEYOND_EMBEDDING: FindingText(
        "stops",
        "tokens-beyond-embedding",
        "{rows} hold tokens that the model has no embedding for, such as {value}: they are left out.",
        "use the tokenizer that belongs to the model, or take these tokens out of the data",
    ),
    CALLS_LEFT_OUT: FindingText(
        "warns",
        "calls-left-out",
        "The chat template leaves tool calls out of {rows}, such as the call of {value}: they will not be learned.",
        "give each call a turn of its own, or use a model whose chat template writes several",
    ),
    ARGUMENTS_LEFT_OUT: FindingText(
        "warns", "arguments-left-out", "The chat template leaves arguments of tool calls out of {rows}.", ANOTHER_MODEL
    ),
    TOOLS_LEFT_OUT: FindingText(
        "warns",
        "tools-left-out",
        "The chat template knows no tools: their descriptions are left out of {rows}.",
        "use a model whose chat template takes tools, or describe them in the system prompt",
    ),
    TURNS_LEFT_OUT: FindingText(
        "warns",
        "turns-left-out",
        "The chat template leaves turns out of {rows} (tool results, as a rule).",
        ANOTHER_MODEL,
    ),
    THINKING_LEFT_OUT: FindingText(
        "warns",
        "thinking-left-out",
        "The chat template leaves thinking that you gave out of {rows}: it will not be learned.",
        f"{ANOTHER_MODEL}; if it is that of earlier turns, give each answer a row of its own",
    ),
    TEXT_LEFT_OUT: FindingText(
        "warns",
        "text-left-out",
        "The chat template leaves the text beside tool calls out of {rows}: it will not be learned.",
        ANOTHER_MODEL,
    ),
    EMPTY_ANSWER: FindingText(
        "warns",
        "empty-answers",
        "{rows} hold an empty answer: it is no target, since it would teach silence.",
        "fill or remove it",
    ),
    NO_END: FindingText(
        "warns",
        "no-end-of-turn",
        "No end-of-turn token follows the answer in {rows}: the model will not learn to stop.",
        "use a model whose chat template ends its turns with a token",
    ),
    END_IS_TEXT: FindingText(
        "warns",
        "end-of-turn-is-no-token",
        "The chat template ends answers with {value}, which is no token of this tokenizer: it is learned as text in "
        "{rows}.",
        "use a tokenizer that has this token, or a chat template that ends answers with one that it has",
    ),
    NO_END_EARLIER: FindingText(
        "warns",
        "no-end-of-earlier-turns",
        "Only the last answer of a conversation ends with the token at which the model stops: earlier ones, in {rows}, "
        "are learned without it.",
        LAST_ONLY,
    ),
    PROMPT_DIFFERS: FindingText(
        "warns",
        "prompt-differs",
        "When the model is asked, its chat template writes {value} before the answer, but not in {rows} of the data.",
        "give answers their thinking, or use a model that does not think",
    ),
    CONTROL_TOKENS: FindingText(
        "warns",
        "control-tokens-in-data",
        "{rows} hold control tokens of the model in their text, such as {value}: they are read as plain text.",
        CONTROL_AS_TOKENS,
    ),
    CONTROL_KEPT: FindingText(
        "notes",
        "control-tokens-kept",
        "{rows} hold control tokens of the model in their text, such as {value}: they become tokens, as you chose.",
    ),
    ALREADY_RENDERED: FindingText(
        "warns",
        "already-rendered",
        "Questions in {rows} are already written in a chat format, such as {value}: the chat template writes its own "
        "marks around them.",
        RAW_TEXT,
    ),
    FOREIGN_MARKS: FindingText(
        "warns",
        "marks-of-another-format",
        "{rows} hold marks of a chat format that are no tokens of this model, such as {value}: they are learned as "
        "text.",
        RAW_TEXT,
    ),
    CONTROL_IN_DOCUMENT: FindingText(
        "notes",
        "control-tokens-in-documents",
        "Documents in {rows} hold control tokens of the model, such as {value}: they become tokens.",
    ),
    EOS_APPENDED: FindingText(
        "notes",
        "eos-appended",
        "The chat template ends no turn with a token: the tokenizer's end-of-text token {value} follows the last "
        "answer in {rows}.",
    ),
    SYSTEM_MOVED: FindingText(
        "notes",
        "system-moved",
        "The chat template has no place for a system prompt: it stands before the question in {rows}.",
    ),
    CALLS_AS_TEXT: FindingText(
        "notes",
        "calls-as-text",
        "The chat template knows no tool calls: they are written as JSON in {rows}.",
    ),
    NAMES_LEFT_OUT: FindingText(
        "notes",
        "names-left-out",
        "The chat template writes no names of those who speak: they are left out of {rows}.",
        "write a name into the content if the model should know it",
    ),
    IDS_REWRITTEN: FindingText(
        "notes",
        "call-ids-rewritten",
        "The chat template refuses the ids of tool calls: they are rewritten to nine characters in {rows}.",
    ),
    DEFAULT_SYSTEM: FindingText(
        "notes",
        "default-system-prompt",
        "The chat template gives {rows} without a system prompt its own: {value}.",
        "give a system prompt in the data if you want another",
    ),
    WRITES_DATE: FindingText(
        "notes",
        "date-in-template",
        "The chat template writes today's date into {rows}: they are tokenised anew each day.",
    ),
}
"""Kinds in the order in which they are said."""
_LONGEST = 80
"""Characters of a value that are shown."""


def tally_findings(tally: Tally, stand_in: bool) -> list[Finding]:
    """Findings of tokenising; `stand_in` if template.py's fallback was used."""
    found = [finding("notes", "no-chat-template", STAND_IN, "use the chat version of the model")] if stand_in else []
    counts = tally.notes
    for key, told in TALLIED.items():
        if numbers := tally.rows.get(key):
            value = tally.values.get(key, "")
            shown = repr(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")
            text = told.text.format(rows=_count(counts[key]), value=shown)
            found.append(Finding(told.severity, told.kind, text, told.fix, tuple(numbers.first), counts[key]))
    if refused := tally.refused - counts[BEYOND_EMBEDDING]:
        text = f"The chat template refuses {_count(refused)}, left out; {tally.template_refusal}."
        fix = "change those rows as the reason says, or use another model"
        rows = tuple(tally.refused_rows.first)
        found.append(Finding("warns", "refused-by-template", text, fix, rows, refused))
    return found


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"
