import json
import subprocess
import sys
import unicodedata

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.content import Content
from textual.widgets import Static

from tests.tui import box
from tests.tui.nasty import NAMES, NASTY, utf8
from tests.tui.stage import Stage
from tui import command_line
from tui.harmless import HARMLESS
from tui.plain import in_json, plain, safe, signs
from tui.widgets.entry import Entry
from tui.widgets.foot import Foot


@pytest.mark.parametrize("name", NASTY)
def test_nothing_is_left_that_a_terminal_executes(name: str) -> None:
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


def test_long_runs_of_combining_marks_are_cut_but_accents_stay() -> None:
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


@pytest.mark.parametrize("name", NASTY)
def test_json_keeps_its_values_and_has_nothing_that_a_terminal_executes(name: str) -> None:
    value = {utf8(NASTY[name]): [utf8(NASTY[name])]}
    text = json.dumps(value, ensure_ascii=False, indent=2)
    assert json.loads(in_json(text)) == value
    assert not {unicodedata.category(x) for x in in_json(text) if x != "\n"} & {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize("name", NASTY)
def test_signs_are_as_many_as_the_characters(name: str) -> None:
    assert len(signs(NASTY[name])) == len(NASTY[name])
    assert signs(NASTY[name]).isprintable()


@pytest.mark.parametrize("name", NASTY)
def test_a_quoted_command_keeps_its_meaning_and_is_printable(name: str) -> None:
    word = NAMES[name]
    line = command_line.quoted(word)
    assert line.isprintable()
    assert subprocess.run(["bash", "-c", f"printf %s {line}"], capture_output=True, check=True).stdout.decode() == word


@pytest.mark.parametrize("name", NASTY)
def test_no_painted_cell_is_executed(name: str) -> None:
    link = Style(link="http://evil.example")
    (segment,) = HARMLESS.apply([Segment(NASTY[name], link)], Color(0, 0, 0))
    assert segment.text.replace("\u3000", "").isprintable()
    assert segment.style is not None and segment.style.link is None


async def test_what_a_widget_does_not_filter_is_not_painted() -> None:
    app = Stage(None)
    async with app.run_test(notifications=True) as pilot:
        await app.mount(Entry("\x1b]0;PWNED\x07"), Static(Content("".join(NASTY.values()))), Foot())
        app.notify("[red]x[/nope]\x1b[2J", title="\x9b2J", markup=True)
        app.copy_to_clipboard("caf\udce9")
        await box.settled(pilot)
        text = "".join(x.text for strip in app.screen._compositor.render_strips() for x in strip)
    assert [x for x in text if not x.isprintable()] == []
    assert "[red]x[/nope]␛[2J" in text and "␛]0;PWNED␇" in text
