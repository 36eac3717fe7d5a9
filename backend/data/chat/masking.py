"""Which characters of a rendered conversation are targets: the answers, as the model will write them at inference.

Every piece of data is found in the whole rendering by marks around it (pieces.py), and a turn's borders by comparison
with what the template writes at inference (borders.py), or by the template's own `{% generation %}` marks if it has
them. Conversations of a shape that was met before need one rendering (shapes.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from backend.data.chat.borders import Borders, Span
from backend.data.chat.control import CONTROL_KEPT, CONTROL_TOKENS, aliased, control_token, noticed, shifted
from backend.data.chat.fitting import TOOLS_LEFT_OUT, Fitted, fitted
from backend.data.chat.pieces import ARGUMENT, CALL, TEXT, THINKING, TOOL, Found, Note, Range, find
from backend.data.chat.shapes import MOST_SHAPES, Known, key_of, known, learned
from backend.data.chat.template import GENERATION_CLOSE, GENERATION_OPEN, Endless, Refusal, Turns
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chunks import characters
from backend.data.conversation import Conversation, Message
from backend.data.tokenizing import WHOLE, Tokenizing

LONGEST = 2_000_000
"""Characters of a conversation: half a million tokens, whose encoding takes 300 MB."""
TURNS_LEFT_OUT = "turns left out"
THINKING_LEFT_OUT = "thinking left out"
TEXT_LEFT_OUT = "text left out"
CALLS_LEFT_OUT = "calls left out"
ARGUMENTS_LEFT_OUT = "arguments left out"
EMPTY_ANSWER = "empty answer"
NO_END_EARLIER = "no end of earlier turns"
PROMPT_DIFFERS = "prompt differs"
DEFAULT_SYSTEM = "default system prompt"
END_IS_TEXT = "end of turn is text"
WRITES_DATE = "date in template"
NAMES_LEFT_OUT = "names left out"


class Rendered(NamedTuple):
    """A conversation as text."""

    text: str
    spans: tuple[Range, ...]
    """Target ranges of characters, in order."""
    notes: tuple[Note, ...] = ()
    """What was changed for the template, is missing, or should not be there."""
    needs_eos: bool = False
    """The template writes no end of turn after the last answer: the tokenizer's EOS goes there."""
    plain: str = ""
    """The text as the template wrote it, if `text` has aliases (private-use characters) in place of its control tokens,
    because the data holds such tokens too, which must stay plain text. Empty without aliases."""


def render(conversation: Conversation, tokenizer: TextTokenizer, how: Tokenizing = WHOLE) -> Rendered:
    """The conversation as the template writes it, with its target ranges.

    Raises Refusal if the template does not take it, or if a turn can't be located in the rendered text; Endless, which
    names the row, if the template takes too much time or memory.
    """
    try:
        return _rendered(conversation, tokenizer, how)
    except Endless as error:
        raise Endless(error.limit, f"row {conversation.row}") from None


def _rendered(conversation: Conversation, tokenizer: TextTokenizer, how: Tokenizing) -> Rendered:
    if (size := characters(conversation)) > LONGEST:
        raise Refusal(f"it holds {size:,} characters, and {LONGEST:,} are the most; divide it")
    targets = _targets(conversation.messages, how)
    made = fitted(conversation, tokenizer)
    shapes = tokenizer.template(bool(conversation.tools)).shapes
    is_plain = len(made.turns) == len(conversation.messages) and not conversation.tools
    key = key_of(conversation.messages, targets) if is_plain else None
    shape = shapes.get(key) if key is not None else None
    masked = known(shape, made.text, conversation.messages) if shape is not None else None
    if masked is None:
        masked, found = _masked(made, conversation, targets, tokenizer)
        if key is not None and len(shapes) < MOST_SHAPES and (learnt := _learned(made, masked, found)) is not None:
            shapes[key] = learnt
    notes = (*made.notes, *masked.notes, *_data_notes(conversation, targets, tokenizer))
    return _without_control(conversation, made, masked, notes, tokenizer, how)


def prompt_turns(conversation: Conversation, tokenizer: TextTokenizer) -> tuple[list[dict[str, Any]], Turns]:
    """The turns before the last answer, and the tools, as `render` would give them to the template."""
    made = fitted(conversation, tokenizer)
    return made.turns[:-1], made.tools


def _targets(messages: Sequence[Message], how: Tokenizing) -> list[int]:
    """Numbers of the messages to learn, without empty answers, which would teach the model to say nothing."""
    chosen = [at for at, message in enumerate(messages) if message.scored and _says(message)]
    return chosen[-1:] if how.train_on_turns == "last" else chosen


def _says(message: Message) -> bool:
    extra = message.extra
    return bool((message.content or "").strip() or extra.get("tool_calls") or extra.get("reasoning_content"))


def _masked(
    made: Fitted, conversation: Conversation, targets: Sequence[int], tokenizer: TextTokenizer
) -> tuple[Known, Found]:
    """The target ranges, with marks around every piece."""
    template = tokenizer.template(bool(conversation.tools))
    found = made.found or find(template, made.turns, made.tools, made.text)
    notes = list(_left_out(found, made, conversation.messages))
    wanted = [at for at, source in enumerate(made.sources) if source in targets]
    spoken = [at for at in wanted if found.of_turn(at) or not _is_dropped(found, at)]
    if not spoken:
        raise Refusal("the chat template writes nothing of its answers")
    borders = Borders(
        template, made.turns, made.tools, made.text, found, tokenizer.special_pattern, tokenizer.assistant_header
    )
    spans = _own_marks(borders, spoken) if template.has_generation else [(at, borders.span(at)) for at in spoken]
    notes += _border_notes(spans, last=len(made.turns) - 1)
    needs_eos = _needs_eos(borders, spans)
    if needs_eos and not made.turns[-1].get("tool_calls") and (mark := borders.after(len(made.turns) - 1).strip()):
        notes.append(Note(END_IS_TEXT, mark))
    return Known(tuple((x.start, x.end) for _, x in spans), tuple(dict.fromkeys(notes)), needs_eos), found


def _needs_eos(borders: Borders, spans: Sequence[tuple[int, Span]]) -> bool:
    """The template writes no end after the last answer, which is a target."""
    last = len(borders.turns) - 1
    return bool(spans) and spans[-1][0] == last and not spans[-1][1].is_ended and not borders.span(last).is_ended


def _call_name(found: Found, number: int, turn: Mapping[str, Any]) -> str:
    at = found.pieces[number].turn
    calls = [n for n, piece in enumerate(found.pieces) if piece.turn == at and piece.kind == CALL]
    return str(turn["tool_calls"][calls.index(number)]["function"]["name"])


def _learned(made: Fitted, masked: Known, found: Found) -> Any:
    if made.notes or any((text := turn["content"] or "") != text.strip() for turn in made.turns):
        return None
    if len(found.places.at) != len(made.turns) or sorted(found.places.at) != list(range(len(made.turns))):
        return None
    texts = [found.places.at[number] for number in range(len(made.turns))]
    return learned(made.text, texts, masked.spans, masked.notes, masked.needs_eos)


def _is_dropped(found: Found, at: int) -> bool:
    own = [number for number, piece in enumerate(found.pieces) if piece.turn == at]
    return bool(own) and all(found.is_left_out(number) for number in own)


def _left_out(found: Found, made: Fitted, messages: Sequence[Message]) -> Iterator[Note]:
    """Kinds of what the template does not write."""
    for number, piece in enumerate(found.pieces):
        if not found.is_left_out(number):
            continue
        message = messages[made.sources[piece.turn]] if piece.turn >= 0 else None
        if piece.kind == TOOL:
            yield Note(TOOLS_LEFT_OUT)
        elif piece.kind == CALL:
            yield Note(CALLS_LEFT_OUT, _call_name(found, number, made.turns[piece.turn]))
        elif piece.kind == ARGUMENT:
            yield Note(ARGUMENTS_LEFT_OUT)
        elif piece.kind == THINKING:
            yield from (Note(THINKING_LEFT_OUT),) if message is not None and message.scored else ()
        elif piece.kind == TEXT:
            beside_calls = made.turns[piece.turn].get("tool_calls")
            yield Note(TEXT_LEFT_OUT if beside_calls else TURNS_LEFT_OUT)


def _border_notes(spans: Sequence[tuple[int, Span]], last: int) -> Iterator[Note]:
    if missing := next((span.missing for _, span in spans if span.missing), ""):
        yield Note(PROMPT_DIFFERS, missing)
    if any(not span.is_ended for at, span in spans if at != last):
        yield Note(NO_END_EARLIER)


def _own_marks(borders: Borders, turns: Sequence[int]) -> list[tuple[int, Span]]:
    """The ranges of these turns that the template itself marks as written by the model."""
    marked = borders.template.render(borders.turns, borders.tools, generation_marks=True)
    if marked.replace(GENERATION_OPEN, "").replace(GENERATION_CLOSE, "") != borders.text:
        return [(at, borders.span(at)) for at in turns]
    spans: list[Range] = []
    at = 0
    for index, part in enumerate(marked.split(GENERATION_OPEN)):
        inside, _, after = part.partition(GENERATION_CLOSE) if index else ("", "", part)
        if index:
            spans.append((at, at + len(inside)))
        at += len(inside) + len(after)
    return [(turn, span) for turn in turns for span in _within(borders, turn, spans)]


def _within(borders: Borders, turn: int, blocks: Sequence[Range]) -> Iterator[Span]:
    """The marked blocks of one turn, as far as the model writes them (some templates mark the header before it)."""
    own = borders.span(turn)
    for start, end in blocks:
        if any(start < b and a < end for a, b in borders.found.of_turn(turn)):
            stop = min(end, own.end)
            yield own._replace(start=max(start, own.start), end=stop, is_ended=own.is_ended and stop == own.end)


def _data_notes(conversation: Conversation, targets: Sequence[int], tokenizer: TextTokenizer) -> Iterator[Note]:
    """Kinds of what the data itself holds or lacks."""
    messages = conversation.messages
    if any(message.scored and not _says(message) for message in messages):
        yield Note(EMPTY_ANSWER)
    yield from noticed(messages, tokenizer.knows_mark)
    if any(x.extra and "name" in x.extra and x.role != "tool" for x in messages):
        yield from () if tokenizer.template(bool(conversation.tools)).writes_names else (Note(NAMES_LEFT_OUT),)
    if messages[0].role != "system" and tokenizer.default_system:
        yield Note(DEFAULT_SYSTEM, tokenizer.default_system)
    if tokenizer.template(bool(conversation.tools)).writes_date:
        yield Note(WRITES_DATE)


def _without_control(
    conversation: Conversation,
    made: Fitted,
    masked: Known,
    notes: tuple[Note, ...],
    tokenizer: TextTokenizer,
    how: Tokenizing,
) -> Rendered:
    """Control tokens in the data are plain text, unless the user wants them to be tokens."""
    special = tokenizer.special_pattern
    plain = Rendered(made.text, masked.spans, notes, masked.needs_eos)
    token = _control_token(conversation, made.tools, special)
    if not token:
        return plain
    if how.special_tokens_in_data:
        return plain._replace(notes=(*notes, Note(CONTROL_KEPT, token)))
    template = tokenizer.template(bool(conversation.tools))
    text, places = aliased(template, made.turns, made.tools, made.text, special, tokenizer.aliases)
    spans = shifted(masked.spans, places)
    return plain._replace(text=text, spans=spans, plain=made.text, notes=(*notes, Note(CONTROL_TOKENS, token)))


def _control_token(conversation: Conversation, tools: Turns, special: re.Pattern[str]) -> str:
    for message in conversation.messages:
        found = control_token(message.content, special) or (message.extra and control_token(message.extra, special))
        if found:
            return found
    return control_token(tools, special) if tools else ""
