"""Control tokens in the data's own text, which are kept as plain text; and marks of chat formats that don't belong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from backend.data.chat.pieces import Note, Range, unescaped
from backend.data.chat.template import Refusal, Template, Turns
from backend.data.conversation import Message

CONTROL_TOKENS = "control tokens in text"
CONTROL_KEPT = "control tokens kept as tokens"
FOREIGN_MARKS = "marks of another chat format"
ALREADY_RENDERED = "prompt already in a chat format"
BREAK = "\U0010fff2"
"""Inserted into the text of a control token to tell the data's control tokens from the template's."""

CHAT_MARKS = re.compile(
    r"<\|(?:im_start|im_end|im_sep|begin_of_text|start_header_id|end_header_id|eot_id|eom_id|start_of_role|end_of_role"
    r"|end_of_text|endoftext|user|assistant|system|START_OF_TURN_TOKEN|END_OF_TURN_TOKEN)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<\uff5c[^\uff5c\n]{1,40}\uff5c>|^\s*<s>|</s>\s*$"
)
"""What chat formats write around turns, and texts hardly ever hold."""
PROMPT_ENDS = re.compile(
    r"(?:\[/INST\]|<\|im_start\|>assistant|<\|assistant\|>|<start_of_turn>model|<\|end_header_id\|>"
    r"|### (?:Response|Assistant|Answer):|(?:^|\n|\s)(?:Assistant|ASSISTANT):|<\uff5cAssistant\uff5c>)\s*$"
)
"""How a prompt ends that waits for its answer in some chat format."""
PROMPT_STARTS = re.compile(
    r"\s*(?:<s>|<bos>|<\|begin_of_text\|>|<\uff5cbegin[^\uff5c]{1,20}\uff5c>|<\|im_start\|>|\[gMASK\])"
)
_END = 60
"""How many characters at the end of a prompt are checked."""


def noticed(messages: Sequence[Message], is_own: Callable[[str], bool]) -> Iterator[Note]:
    """What should not be in these texts; `is_own` says whether the model knows a mark."""
    texts = [(message.role, message.content) for message in messages if message.content]
    if mark := next((x for role, text in texts if role == "user" and (x := _rendered_mark(text))), ""):
        yield Note(ALREADY_RENDERED, mark)
    if mark := next((x for _, text in texts if (x := foreign_mark(text, is_own))), ""):
        yield Note(FOREIGN_MARKS, mark)


def _rendered_mark(text: str) -> str:
    found = PROMPT_STARTS.match(text) or PROMPT_ENDS.search(text[-_END:])
    return found.group().strip() if found else ""


def foreign_mark(text: str, is_own: Callable[[str], bool]) -> str:
    """A mark of a chat format that is not this model's; empty without one."""
    if "<" not in text and "[" not in text:
        return ""
    return next((x for found in CHAT_MARKS.finditer(text) if not is_own(x := found.group().strip())), "")


def control_token(value: Any, special: re.Pattern[str]) -> str:
    """A control token's text somewhere in the value, which is a text, a list or a mapping; empty without one."""
    if isinstance(value, str):
        found = special.search(value)
        return found.group() if found else ""
    if isinstance(value, Mapping):
        return next((x for pair in value.items() for part in pair if (x := control_token(part, special))), "")
    if isinstance(value, list | tuple):
        return next((x for part in value if (x := control_token(part, special))), "")
    return ""


def broken(value: Any, special: re.Pattern[str]) -> Any:
    """The value with BREAK within every control token's text, so that none is left."""
    if isinstance(value, str):
        while (found := special.search(value)) is not None:
            value = value[: found.start() + 1] + BREAK + value[found.start() + 1 :]
        return value
    if isinstance(value, Mapping):
        return {broken(key, special): broken(item, special) for key, item in value.items()}
    return [broken(item, special) for item in value] if isinstance(value, list | tuple) else value


def aliased(
    template: Template, turns: Turns, tools: Turns, text: str, special: re.Pattern[str], aliases: Mapping[str, str]
) -> tuple[str, list[Range]]:
    """`text` with one alias character for each control token that the template wrote, and where those stood in it.

    The tokenizer reads the aliases as the tokens, and everything else as plain text.
    """
    if set(aliases.values()) & set(text):
        raise Refusal("its text holds a control token of the model beside characters of a private use plane")
    made = unescaped(template.render(_broken_turns(turns, special), broken(list(tools), special)))
    if made.replace(BREAK, "") != text:
        raise Refusal("its text holds a control token of the model, to which the chat template reacts")
    pieces, places, last, breaks = [], [], 0, 0
    for found in special.finditer(made):
        between = made[last : found.start()]
        breaks += between.count(BREAK)
        places.append((found.start() - breaks, found.end() - breaks))
        pieces += [between.replace(BREAK, ""), aliases[found.group()]]
        last = found.end()
    pieces.append(made[last:].replace(BREAK, ""))
    return "".join(pieces), places


def _broken_turns(turns: Turns, special: re.Pattern[str]) -> list[dict[str, Any]]:
    kept = ("role",)
    return [{key: x if key in kept else broken(x, special) for key, x in turn.items()} for turn in turns]


def shifted(spans: Sequence[Range], places: Sequence[Range]) -> tuple[Range, ...]:
    """Ranges of the text as ranges of the text with aliases."""
    lost = [0, *accumulate(end - start - 1 for start, end in places)]

    def moved(at: int) -> int:
        return at - lost[sum(1 for _, end in places if end <= at)]

    return tuple((moved(start), moved(end)) for start, end in spans)
