"""Memory now and at its peak, against what was foreseen and what the device has."""

from __future__ import annotations

from collections.abc import Iterable

from backend import units
from tui.panels.lines import Row
from tui.panels.panel import Panel

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LABEL = 9
_FIGURE = 9


class Memory(Panel):
    """Three bars on one scale: the whole bar is the device."""

    TITLE = "Memory"
    KEY = "2"

    def note(self) -> Row:
        """The peak against the prediction, in a word."""
        foreseen, peak = self._foreseen("peak_bytes"), self.history.peak_bytes
        if not peak or not foreseen:
            return ()
        part = peak / foreseen
        style = "good" if part <= 1 else "warn" if part <= 1.1 else "bad"
        return ((f"{part:.0%}", style), (" of foreseen", "faint"))

    def body(self, width: int, height: int) -> Iterable[Row]:
        """Bars for now, peak and foreseen, then whose memory it is."""
        whole = self._whole()
        now, peak, foreseen = self._now(), self.history.peak_bytes, self._foreseen("peak_bytes")
        if not whole:
            return [(("no reading yet", "faint"),)]
        rows = [
            _bar("now", now, whole, width, "curve", foreseen),
            _bar("peak", peak, whole, width, "second", foreseen),
            _bar("foreseen", foreseen, whole, width, "faint", foreseen),
        ]
        return rows if height < 4 else [*rows, self._whose(whole)]

    def _whose(self, whole: int) -> Row:
        on_cpu = self.history.started.get("device") == "cpu"
        what = "of RAM; bars: this process" if on_cpu else "on the card"
        return ((units.memory(whole), ""), (f" {what}", "faint"))

    def _whole(self) -> int:
        return int(self.history.memory.get("device_bytes") or 0) or self._foreseen("device_bytes")

    def _now(self) -> int:
        event = self.history.memory
        return int(event.get("now_bytes") or event.get("allocated_bytes") or 0)

    def _foreseen(self, name: str) -> int:
        foreseen = self.history.started.get("foreseen")
        return int(foreseen.get(name) or 0) if isinstance(foreseen, dict) else 0


def _bar(label: str, value: int, whole: int, width: int, style: str, mark: int) -> Row:
    """A labelled bar of `value` in `whole` bytes; a thin line marks where `mark` lies."""
    room = width - _LABEL - _FIGURE - 2
    figure = units.memory(value) if value else "-"
    if room < 6:
        return ((f"{label:<{_LABEL}}", "faint"), (f"{figure:>{_FIGURE}}", ""))
    filled = _fill(value / whole, room)
    at = min(room - 1, round(room * mark / whole))
    if not mark or at < len(filled.rstrip()):
        bar: Row = ((filled, style),)
    else:
        bar = ((filled[:at], style), ("┊", "warn"), (" " * (room - at - 1), ""))
    return ((f"{label:<{_LABEL}}", "faint"), ("▕", "frame"), *bar, ("▏", "frame"), (f"{figure:>{_FIGURE}}", ""))


def _fill(part: float, width: int) -> str:
    eighths = round(min(1.0, max(0.0, part)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)[:width]
