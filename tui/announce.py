"""What a run shows outside of the screen: the terminal's title while it trains, a notification when it ends.

All text is plain, so that it can't end the control sequence that it is part of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tui.plain import plain

SAVE_TITLE, RESTORE_TITLE = "\x1b[22;0t", "\x1b[23;0t"
BELL = "\a"
_RXVT_LIKE = ("rxvt", "foot")
"""Values of TERM of terminals that know OSC 777; others that show notifications know OSC 9."""


def title(text: str) -> str:
    """The sequence that sets the terminal's title (OSC 2)."""
    return f"\x1b]2;{plain(text, lines=False, limit=120)}\x1b\\"


def notification(text: str, how: Literal["desktop", "bell", "off"], environ: Mapping[str, str]) -> str:
    """The bell, and a desktop notification for terminals that have them; inside tmux it is passed through."""
    if how == "off":
        return ""
    if how == "bell":
        return BELL
    return BELL + _through_tmux(_desktop(plain(text, lines=False, limit=200), environ.get("TERM", "")), environ)


def _desktop(text: str, term: str) -> str:
    if term.startswith(_RXVT_LIKE):
        return f"\x1b]777;notify;fttui;{text}\x1b\\"
    return f"\x1b]9;fttui: {text}\x1b\\"  # it must not begin with a number: `4;` would be a progress bar


def _through_tmux(sequence: str, environ: Mapping[str, str]) -> str:
    if not environ.get("TMUX"):
        return sequence
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\"
