import subprocess
import sys
import unicodedata

import pytest

from tests.tui.nasty import NASTY
from tui.plain import plain, safe


@pytest.mark.parametrize("name", NASTY)
def test_nothing_is_left_that_a_terminal_obeys(name: str) -> None:
    shown = plain(NASTY[name])
    left = {unicodedata.category(character) for character in shown if character != "\n"}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    shown.encode("utf-8")


def test_what_was_there_stays_visible() -> None:
    assert plain("\x1b[31m") == "␛[31m"
    assert plain("a\x7f\x9b") == "a␡\ufffd"
    assert plain("\u202eexe") == "\ufffdexe"


def test_ordinary_text_is_untouched() -> None:
    text = "Köln, naïve, 東京, Ελλάδα, हिन्दी, 1 ≤ 2\nsecond line"
    assert plain(text) == text


def test_combining_heaps_are_cut_but_accents_stay() -> None:
    assert plain("e\u0301") == "e\u0301"
    assert len(plain("Z" + "\u0301" * 500)) == 4


def test_lines_false_shows_newlines() -> None:
    assert plain("a\r\nb\nc", lines=False) == "a⏎b⏎c"


def test_long_text_is_cut_and_says_so() -> None:
    assert plain("x" * 30, limit=10) == "x" * 10 + "…"


def test_safe_keeps_markup_as_text() -> None:
    assert safe("[red]x[/] [/nonsense]").plain == "[red]x[/] [/nonsense]"


def test_plain_needs_no_textual() -> None:
    code = "import sys, tui.plain; tui.plain.plain('x'); sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
