"""JSON of any size as values, one after another: lines, an array, or objects over several lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from backend.data.reading.sniff import LONGEST_ROW, Opened
from backend.errors import UserError

_DECODER = msgspec.json.Decoder()
_STANDARD = json.JSONDecoder()
CHUNK_BYTES = 1 << 20
LONGEST_VALUE = 1 << 28
"""The most characters of one value. A longer one is considered a fault, such as a quote that is never closed."""
NEAR_END = 64
"""An error this near to the end of what was read may be no error once more text is read."""
MOST_LOOKED = 2000
"""The most lines per file that are checked for repeated keys after a quick test, since the check is slow."""
BYTE_ORDER = "\ufeff"
"""The mark at the start of a file, also of one that was put behind another one."""
Numbered = tuple[int, Any]
"""The line that a value starts in, and the value."""


def line_values(file: Opened) -> Iterator[Numbered]:
    """The value of each line; blank lines are skipped, and a comma after the value is no fault."""
    too_long = looked = 0
    for number, line in enumerate(file.lines(), 1):
        if line.isspace():
            continue
        if too_long or (len(line) > LONGEST_ROW and number > 1):
            raise too_long_row(file, too_long or number)
        too_long = number if len(line) > LONGEST_ROW else 0  # if it is the only line, it may be a whole table
        try:
            value = _DECODER.decode(line)
            if looked < MOST_LOOKED and type(value) is dict and line.count(b'":') != len(value):
                looked = MOST_LOOKED if _note_repeated(file, line, number) else looked + 1
            yield number, value
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            for value in _hard_line(file, line, number):
                yield number, value


def too_long_row(file: Opened, line: int) -> UserError:
    """The error for a row that is too long to train on."""
    return file.refuse(f"line {line} holds a row of more than {LONGEST_ROW >> 20} MB; divide it, or remove it")


def _note_repeated(file: Opened, line: bytes, number: int) -> bool:
    """Whether an object has a key twice, of which a note is made: the last value counts, and the others are lost."""
    found: list[str] = []

    def keys(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        found.extend(name for name in names if names.count(name) > 1)

    with suppress(ValueError, RecursionError):
        json.loads(line, object_pairs_hook=keys)
    if found:
        text = f"Line {number} of {file.name} has the key {found[0]!r} twice: the last value counts, others are lost."
        file.notes.append(text)
    return bool(found)


def stream_values(file: Opened) -> Iterator[Numbered]:
    """Values in any layout: the elements of an array, objects one after another, with commas between them or not."""
    reader = _Reader(file)
    inside = False
    while (mark := reader.next_mark()) is not None:
        if mark == "," or (mark == "]" and inside):
            inside = inside and mark == ","
            reader.skip()
        elif mark == "[" and not inside:
            inside = True
            reader.skip()
        else:
            yield reader.value(inside)
    if inside:
        raise file.refuse(f"line {reader.line}: the array is not closed, so the file is cut off; copy it again")


def begins_with_value(start: bytes) -> bool:
    """A whole value stands at the start."""
    try:
        _STANDARD.raw_decode(start.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


def loads(text: str) -> Any:
    """`json.loads`, with U+FFFD for each lone surrogate, which no tokenizer takes."""
    value = json.loads(text)
    return with_letters(value) if "\\ud" in text.lower() else value


def with_letters(value: Any) -> Any:
    """The value with U+FFFD for each lone surrogate."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {with_letters(key): with_letters(item) for key, item in value.items()}
    return [with_letters(item) for item in value] if isinstance(value, list) else value


class _Reader:
    """Decodes values from a text that is read as it is needed."""

    def __init__(self, file: Opened) -> None:
        self._file = file
        self._pieces = file.pieces(CHUNK_BYTES)
        self._read = 1
        self._text = ""
        self._at = 0
        self.line = 1
        """The line at the reader's position."""

    def next_mark(self) -> str | None:
        """The next character that is no white space; None at the end."""
        while True:
            while self._at < len(self._text):
                mark = self._text[self._at]
                if not mark.isspace() and mark != BYTE_ORDER:
                    return mark
                self.line += mark == "\n"
                self._at += 1
            if not self._more(CHUNK_BYTES):
                return None

    def skip(self) -> None:
        self._at += 1

    def value(self, is_row: bool) -> Numbered:
        """The next value, which is one row, or else may hold many."""
        wanted = CHUNK_BYTES
        while True:
            try:
                value, end = _STANDARD.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if is_row and len(self._text) - self._at > LONGEST_ROW:
                    raise too_long_row(self._file, self.line) from None
                if not self._may_go_on(error) or not self._more(wanted):
                    raise _refusal(self._file, error, self.line, self._text[self._at :]) from None
                wanted *= 2
                continue
            if end == len(self._text) and isinstance(value, int | float) and self._more(wanted):
                continue  # a number's digits may go on
            said = self._text[self._at : end]
            line, self._at = self.line, end
            self.line += said.count("\n")
            return line, with_letters(value) if "\\ud" in said.lower() else value

    def _may_go_on(self, error: Exception) -> bool:
        if not isinstance(error, json.JSONDecodeError) or len(self._text) - self._at > LONGEST_VALUE:
            return False
        return error.pos >= len(self._text) - NEAR_END or error.msg.startswith("Unterminated string")

    def _more(self, wanted: int) -> bool:
        """Read at least `wanted` bytes more; False at the end."""
        parts = [self._text[self._at :]]
        size = 0
        for piece in self._pieces:
            parts.append(self._file.decoded(piece, self._read))
            self._read += piece.endswith(b"\n")
            size += len(piece)
            if size >= wanted:
                break
        self._text, self._at = "".join(parts), 0
        return size > 0


def _hard_line(file: Opened, line: bytes, number: int) -> Iterator[Any]:
    """A line that msgspec does not take (NaN, lone surrogates), that ends in a comma, or that holds several values."""
    text = file.decoded(line, number).strip().removesuffix(",")
    at = 0
    while at < len(text):
        try:
            value, end = _STANDARD.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise _refusal(file, error, number, text) from None
        yield with_letters(value) if "\\ud" in text.lower() else value
        at = end
        while at < len(text) and (text[at].isspace() or text[at] == ","):
            at += 1


def _refusal(file: Opened, error: Exception, line: int, text: str) -> UserError:
    """`line` is the line of the text's first character."""
    if isinstance(error, RecursionError):
        return UserError(f"{file.name} is nested too deeply to be a table of rows", "data")
    if not isinstance(error, json.JSONDecodeError):
        return file.refuse(f"line {line}: a number has too many digits; write it as text, in quotes")
    at = max(0, error.pos - max(0, len(error.doc) - len(text)))
    where = line + text.count("\n", 0, at)
    return file.refuse(f"line {where}: not valid JSON ({_reason(error, text[at : at + 2])}; fix or remove that line")


def _reason(error: json.JSONDecodeError, found: str) -> str:
    """What is wrong in words, the closing bracket included."""
    if found[:1] == "'":
        return "single quotes stand where JSON has double ones); write the rows with json.dumps"
    if found in ("//", "/*") or found[:1] == "#":
        return "a comment, which JSON does not have)"
    if found in ("No", "Tr", "Fa"):
        return "Python's None, True or False stands where JSON has null, true or false); write the rows with json.dumps"
    return f"{error.msg[0].lower()}{error.msg[1:].removesuffix(' at')} at column {error.colno})"
