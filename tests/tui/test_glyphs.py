"""ASCII instead of every sign: the same width, and different signs stay different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

import tui
from tests.tui import box
from tests.tui.nasty import NASTY
from tests.tui.stage import Stage
from tests.tui.test_live_screen import run_at, utc
from tui import theme
from tui.glyphs import ascii_of, is_ascii, needs_ascii
from tui.panels.chart import EVAL_MARK
from tui.plain import plain
from tui.screens.live import LiveScreen

__all__ = ["utc"]


def test_every_sign_has_an_ascii_form() -> None:
    ours = {x for path in Path(tui.__path__[0]).rglob("*.py") for x in path.read_text("utf-8") if not x.isascii()}
    assert {x for x in ours if "?" in ascii_of(x)} == set()


@pytest.mark.parametrize("text", ["Köln, naïve", "東京 2", "Ελλάδα", "½ ﬁ …", *(plain(x) for x in NASTY.values())])
def test_the_width_stays(text: str) -> None:
    shown = ascii_of(text)
    assert shown.isascii()
    assert cell_len(shown) == cell_len(text.replace("\n", "")) or "\n" in text


def test_accented_letters_become_plain_ones() -> None:
    assert ascii_of("Köln, naïve") == "Koln, naive"
    assert ascii_of("東京") == "____"


def test_no_sign_of_ours_and_no_usual_letter_becomes_a_question_mark() -> None:
    said = "“quoted” — it’s 5 € • naïve Straße Ørsted Łódź жар Ελλάδα ≤ 3 µm ✓ → ⟦x⟧ ▂▅▇"
    assert "?" not in ascii_of(said)
    assert ascii_of("“it’s” — ø ж λ Ł") == '"it\'s" - o z l L'
    ours = "".join(path.read_text() for path in Path(tui.__file__).parent.rglob("*.py"))
    assert "?" not in "".join(ascii_of(x) for x in set(ours) if not x.isascii())


def test_memory_categories_differ_without_colour_and_without_unicode() -> None:
    assert len({ascii_of(sign.glyph) for sign in theme.MEMORY.values()}) == len(theme.MEMORY)
    assert {sign.ascii for sign in theme.MEMORY.values()} == {ascii_of(sign.glyph) for sign in theme.MEMORY.values()}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"TERM": "linux", "LANG": "C.UTF-8"}, True),
        ({"TERM": "vt220"}, True),
        ({"TERM": "xterm-256color", "LANG": "de_DE.ISO-8859-1"}, True),
        ({"TERM": "xterm", "LANG": "de_DE.ISO-8859-1", "LC_ALL": "C.UTF-8"}, False),
        ({"TERM": "xterm-256color", "LANG": "C"}, False),
        ({"TERM": "tmux-256color", "LANG": "de_DE.utf8@euro"}, False),
    ],
)
def test_when_it_is_needed(environ: dict[str, str], wanted: bool) -> None:
    assert needs_ascii(environ) is wanted


async def lines_of(app: Stage) -> list[str]:
    async with app.run_test(size=(80, 24)):
        return ["".join(x.text for x in strip) for strip in app.screen._compositor.render_strips()]


async def test_the_live_screen_in_ascii() -> None:
    folder, at = run_at("mid")
    app = Stage(LiveScreen(folder, clock=lambda: at), ascii=True)
    text = "\n".join(await lines_of(app))
    assert is_ascii(app)
    assert text.isascii()
    assert text.count("*") > 12, "the average"
    assert ascii_of(EVAL_MARK) in text
    assert "+-" in text


def test_live_in_ascii(snap_compare: Any) -> None:
    folder, at = run_at("mid")
    assert snap_compare(Stage(LiveScreen(folder, clock=lambda: at), ascii=True), terminal_size=(80, 24))


async def test_no_color_sends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    folder, at = run_at("mid")
    app = Stage(LiveScreen(folder, clock=lambda: at))
    app.preferred_theme = theme.for_terminal({"NO_COLOR": "1", "COLORTERM": "truecolor"})
    async with app.run_test(size=(80, 24)):
        styles = [x.style for strip in app.screen._compositor.render_strips() for x in strip if x.style]
    colours = {c.name for style in styles for c in (style.color, style.bgcolor) if c is not None}
    assert colours <= {"default"}


async def test_the_sign_of_a_longer_list_is_separated_from_its_text() -> None:
    app = box.app()
    app._ascii = True
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        lines = ["".join(x.text for x in strip).rstrip() for strip in app.screen._compositor.render_strips()]
    assert [line for line in lines if line.endswith(" v")] and not [line for line in lines if line.endswith("ev")]
