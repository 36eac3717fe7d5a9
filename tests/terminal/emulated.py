"""A program on a pty and the screen that its bytes draw; fails on every byte that fttui has no reason to send."""

from __future__ import annotations

import base64
import codecs
import os
import re
import select
import time
import unicodedata
from collections.abc import Callable

from rich.cells import get_character_cell_size

from tests.bench.on_pty import OnPty

WAIT_SECONDS = 30.0
QUIET_SECONDS = 0.04
"""After this time without a byte from the program, the screen is completely painted."""
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_PIECE = re.compile(
    r"\x1b\[(?P<csi>[0-?]*[ -/]*[@-~])|\x1b\](?P<osc>[^\x00-\x1f\x7f-\x9f]*)(?:\x07|\x1b\\)|(?P<text>[^\x1b]+)"
)
_MODES = re.compile(r"\?(1000|1002|1003|1004|1006|1015|1016|1049|2004|2026|2031|2048|25|7|1)[hl]")
_CSI = re.compile(r"[\d;:]*m|\d*;?\d*H|\d*[JK]|\?[\d;]+\$p|[<>=?]\d*u|2[23];0t|\?6c|c")
"""Colours, cursor and erasing; queries for modes and keys; saving and restoring the title."""


class Emulated:
    """The cells by line, and what was copied, shown as a notification and set as the title."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.copied: list[str] = []
        self.notified: list[str] = []
        self._cells: dict[int, dict[int, str]] = {}
        self._line = self._column = 0
        self._decode = codecs.getincrementaldecoder("utf-8")("strict").decode
        self._rest = ""

    @property
    def text(self) -> str:
        """The screen; what a wide letter covers is left out."""
        return "\n".join(self._text_of(line) for line in range(max(self._cells, default=0) + 1))

    def feed(self, data: bytes) -> None:
        """Take what the program sent; an unfinished sequence waits for its end."""
        sent = self._rest + self._decode(data)
        at = 0
        while (piece := _PIECE.match(sent, at)) is not None:
            at = piece.end()
            if piece["csi"] is not None:
                self._control(piece["csi"])
            elif piece["osc"] is not None:
                self._command(piece["osc"])
            else:
                for character in piece["text"]:
                    self._put(character)
        self._rest = sent[at:]
        assert len(self._rest) < 100_000 and not re.match(r"\x1b[^\[\]]", self._rest), f"sent {self._rest[:60]!r}"

    def _control(self, said: str) -> None:
        assert _CSI.fullmatch(said) or _MODES.fullmatch(said), f"sent CSI {said!r}"
        if said[-1] == "H":
            line, _, column = said[:-1].partition(";")
            self._line, self._column = int(line or 1) - 1, int(column or 1) - 1
        elif said[-1] == "J":
            self._cells.clear()

    def _command(self, said: str) -> None:
        kind, _, value = said.partition(";")
        if kind == "2":
            self.titles.append(value)
        elif kind == "52":
            self.copied.append(base64.b64decode(value.removeprefix("c;"), validate=True).decode())
        elif kind != "22":  # the mouse pointer's shape
            assert kind in ("9", "777") and not re.match(r"\d", value), f"sent OSC {said!r}"
            self.notified.append(value)

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._line += 1
        elif character != "\a":
            assert unicodedata.category(character) not in _UNSAFE, f"sent {character!r} behind {self._text_of()!r}"
            self._cell(character, get_character_cell_size(character))

    def _cell(self, character: str, width: int) -> None:
        line = self._cells.setdefault(self._line, {})
        if not width:
            line[self._column - 1] = line.get(self._column - 1, "") + character
            return
        line[self._column] = character
        for covered in range(self._column + 1, self._column + width):
            line[covered] = ""
        self._column += width

    def _text_of(self, line: int | None = None) -> str:
        cells = self._cells.get(self._line if line is None else line, {})
        return "".join(cells.get(x, " ") for x in range(max(cells, default=-1) + 1)).rstrip()


class Watched(OnPty):
    """A Python program on a pty, looked at by an `Emulated` terminal."""

    def __init__(self, arguments: list[str], size: tuple[int, int] = (120, 40), **environment: str) -> None:
        super().__init__(arguments, size, **environment)
        self.terminal = Emulated()

    def type(self, *keys: str) -> None:
        """Press each of `keys`."""
        for key in keys:
            self.press(key.encode())

    def wait(self, pattern: str, seconds: float = WAIT_SECONDS) -> str:
        """The screen once `pattern` is on it; fails with what is there instead."""
        return self._until(lambda text: re.search(pattern, text) is not None, pattern, seconds)

    def wait_without(self, pattern: str, seconds: float = WAIT_SECONDS) -> str:
        """The screen once `pattern` is no longer on it."""
        return self._until(lambda text: re.search(pattern, text) is None, f"end of {pattern}", seconds)

    def _until(self, holds: Callable[[str], bool], what: str, seconds: float) -> str:
        end = time.monotonic() + seconds
        while not holds(self.terminal.text):
            alive = self._take() and time.monotonic() < end
            assert alive or holds(self.terminal.text), f"no {what!r} on\n{self.terminal.text}"
        while select.select([self._fd], [], [], QUIET_SECONDS)[0] and self._take():
            pass  # the rest of what is being painted
        return self.terminal.text

    def end(self) -> str:
        """Read until the program has ended; the screen as it leaves it."""
        while self._take():
            pass
        return self.terminal.text

    def _take(self) -> bool:
        """Take what comes within a moment; False if the program is gone."""
        if not select.select([self._fd], [], [], 0.05)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.terminal.feed(data)
        return bool(data)
