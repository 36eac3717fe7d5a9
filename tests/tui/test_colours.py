"""What terminals with fewer colours show: every text is readable, and what differs in colour still differs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from rich.color import Color, ColorSystem
from rich.style import Style
from textual.app import App

from backend import settings
from backend.settings import Settings
from tests.tui import box, fixed
from tests.tui.stage import Stage
from tests.tui.test_live_screen import run_at, utc
from tui import theme
from tui.screens.live import LiveScreen

__all__ = ["utc"]
LEAST_CONTRAST = 3.0
"""Least contrast of text; frames and grids may be fainter."""
GREY_STEP = 10
"""Light greys are shown one step darker; no other colour is moved at all."""
_FRAMES = set("─│╭╮╰╯┈┄┤├┊▕▏▔▁▎━╸╌┃╱ ")
STEPS = ["hardware", "model", "data", "goal", "compare", "review"]


def in_256(colour: Color) -> tuple[int, int, int]:
    """The colour as a terminal with 256 colours shows it."""
    return tuple(colour.downgrade(ColorSystem.EIGHT_BIT).get_truecolor())  # type: ignore[return-value]


def luminance(rgb: tuple[int, int, int]) -> float:
    parts = [x / 255 for x in rgb]
    linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(style: Style) -> float:
    assert style.color is not None and style.bgcolor is not None
    first, second = sorted((luminance(in_256(style.color)), luminance(in_256(style.bgcolor))), reverse=True)
    return (first + 0.05) / (second + 0.05)


def texts(app: App[Any]) -> Iterator[tuple[str, Style]]:
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            if segment.style and segment.style.color and not set(segment.text) <= _FRAMES:
                yield segment.text, segment.style


def unreadable(app: App[Any]) -> list[tuple[str, float]]:
    return [(text, round(contrast(style), 2)) for text, style in texts(app) if contrast(style) < LEAST_CONTRAST]


@pytest.mark.parametrize("step", STEPS)
async def test_every_text_of_the_wizard_can_be_read_in_256_colours(step: str) -> None:
    app = box.at(step, compare=fixed.compare)
    app.preferred_theme = theme.DARK_256
    async with app.run_test(size=(120, 40)) as pilot:
        await box.settled(pilot)
        assert app.theme == theme.DARK_256
        assert unreadable(app) == []


async def test_every_text_of_a_run_can_be_read_in_256_colours() -> None:
    folder, at = run_at("mid")
    app = Stage(LiveScreen(folder, clock=lambda: at))
    app.preferred_theme = theme.DARK_256
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("5")
        await pilot.pause()
        assert unreadable(app) == []


@pytest.mark.parametrize("own", [x for x in theme.THEMES if x.name == theme.DARK_256], ids=lambda x: x.name)
def test_the_palette_of_256_colours_has_only_such_colours(own: Any) -> None:
    colours = [own.primary, own.secondary, own.warning, own.error, own.success, own.foreground, own.background]
    for name in [*colours, own.surface, own.panel, *own.variables.values()]:
        parsed = Color.parse(name)
        off = max(abs(a - b) for a, b in zip(in_256(parsed), parsed.get_truecolor(), strict=True))
        assert off <= GREY_STEP, name
    assert len({own.variables[sign.variable[1:]] for sign in theme.MEMORY.values()}) == len(theme.MEMORY)


def test_in_16_colours_no_category_looks_like_an_error() -> None:
    used = [theme.defaults(ansi=True)[sign.variable[1:]] for sign in theme.MEMORY.values()]
    assert len(set(used)) == len(used) and not any("red" in name for name in used)


@pytest.mark.parametrize(
    ("environ", "chosen", "wanted"),
    [
        ({"TERM": "xterm-256color"}, "", theme.DARK_256),
        ({"TERM": "xterm-256color"}, theme.DARK, theme.DARK_256),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "", theme.DARK),
        ({"TERM": "xterm-kitty"}, "", theme.DARK),
        ({"TERM": "screen"}, "", theme.SIXTEEN),
        ({"TERM": "xterm-256color"}, theme.CONTRAST, theme.CONTRAST),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, theme.DARK, theme.SIXTEEN),
    ],
)
def test_the_theme_follows_the_terminal(environ: dict[str, str], chosen: str, wanted: str) -> None:
    assert theme.for_terminal(environ, chosen) == wanted


def test_a_terminal_that_shows_all_colours_gets_them_over_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "alacritty")
    monkeypatch.delenv("COLORTERM", raising=False)
    Stage(None)
    assert os.environ["COLORTERM"] == "truecolor"


async def themes(pilot: Any) -> None:
    await box.settled(pilot)
    await pilot.press("ctrl+p", *"theme", "enter")
    await box.settled(pilot)


async def test_a_theme_is_shown_while_the_list_is_at_it_and_kept_when_it_is_chosen() -> None:
    settings.path().write_text('# mine\nnotify = "bell"\n')
    app = box.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await themes(pilot)
        assert app.theme == theme.DARK
        await pilot.press("down")
        await pilot.pause()
        assert app.theme == theme.LIGHT and settings.load().theme == "", "shown, not kept"
        await pilot.press("enter")
        await pilot.pause()
    assert settings.load() == Settings(theme=theme.LIGHT, notify="bell")
    assert settings.path().read_text().startswith("# mine")


async def test_esc_goes_back_to_the_theme_of_before() -> None:
    app = box.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await themes(pilot)
        await pilot.press("down", "down", "escape")
        await pilot.pause()
        assert app.theme == theme.DARK
    assert not settings.path().exists()


@pytest.mark.parametrize(("colours", "ours"), [("truecolor", theme.DARK), ("", theme.DARK_256)])
def test_of_the_two_dark_themes_the_one_for_the_terminal_is_offered(colours: str, ours: str) -> None:
    environ = {"TERM": "xterm-256color", "COLORTERM": colours}
    names = [name for name, _ in theme.choices([x.name for x in theme.THEMES] + ["nord"], environ)]
    assert names == [ours, theme.LIGHT, theme.CONTRAST, "nord"]


async def test_a_session_that_chooses_no_theme_keeps_none() -> None:
    app = box.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
    assert not settings.path().exists()


@pytest.mark.parametrize("step", ["model", "compare"])
def test_in_256_colours(step: str, snap_compare: Any) -> None:
    app = box.at(step, compare=fixed.compare)
    app.preferred_theme = theme.DARK_256
    assert snap_compare(app, terminal_size=(80, 24), run_before=lambda pilot: box.settled(pilot))


def test_live_in_256_colours(snap_compare: Any) -> None:
    folder, at = run_at("mid")
    app = Stage(LiveScreen(folder, clock=lambda: at))
    app.preferred_theme = theme.DARK_256
    assert snap_compare(app, terminal_size=(80, 24))
