"""What is sent to the terminal besides the screen: a title and a notification, but no sequence from outside text."""

from __future__ import annotations

import pytest

from backend.run.history import History
from backend.settings import Settings
from tests.tui.nasty import NASTY
from tests.tui.stage import Stage
from tests.tui.story import finish
from tests.tui.test_live_screen import opened, run_at, screen_of, utc
from tui import announce
from tui.panels import words
from tui.screens.result import ResultScreen

__all__ = ["utc"]


def test_a_title_is_one_sequence() -> None:
    assert announce.title("33 % - demo") == "\x1b]2;33 % - demo\x1b\\"


@pytest.mark.parametrize("name", NASTY)
def test_nothing_in_it_ends_or_begins_a_sequence(name: str) -> None:
    for sent in (announce.title(NASTY[name]), announce.notification(NASTY[name], "desktop", {"TERM": "foot"})):
        assert sent.count("\x1b") == 2
        assert "\x9c" not in sent


@pytest.mark.parametrize(
    ("how", "environ", "sent"),
    [
        ("off", {}, ""),
        ("bell", {}, "\a"),
        ("desktop", {"TERM": "xterm-256color"}, "\a\x1b]9;fttui: done\x1b\\"),
        ("desktop", {"TERM": "rxvt-unicode"}, "\a\x1b]777;notify;fttui;done\x1b\\"),
        ("desktop", {"TERM": "tmux-256color", "TMUX": "/tmp/x"}, "\a\x1bPtmux;\x1b\x1b]9;fttui: done\x1b\x1b\\\x1b\\"),
    ],
)
def test_each_terminal_gets_a_sequence_that_it_supports(how: str, environ: dict[str, str], sent: str) -> None:
    assert announce.notification("done", how, environ) == sent  # type: ignore[arg-type]


def test_the_title_has_progress_and_end() -> None:
    folder, at = run_at("mid")
    past = History(folder.events_file)
    assert words.title(past, "m", at) == "starting the trainer - m"
    past.poll()
    assert words.title(past, "m", at) == "33 %, ends 14:01 - m"
    finish(folder, at, "stopped")
    past.poll()
    assert words.title(past, "m", at) == "stopped - m"


async def sent_by(app: Stage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the live screen of a run that ends tells the terminal."""
    sent: list[str] = []
    monkeypatch.setattr(app, "tell_terminal", sent.append)
    async with app.run_test() as pilot:
        screen = screen_of(app)
        screen.tick()
        finish(screen.folder, 1_795_004_000.0, "done")
        for _ in range(6):
            screen.tick()
        await pilot.pause()
        assert isinstance(app.screen, ResultScreen)
    return sent


async def test_the_end_of_a_run_is_announced_and_the_title_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = await sent_by(opened(*run_at("mid")), monkeypatch)
    assert sent[0] == announce.SAVE_TITLE
    assert sent[1] == announce.title("33 %, ends 14:01 - llama-3.1-8b · QLoRA")
    assert any("llama-3.1-8b · QLoRA: done" in x and x.startswith("\a") for x in sent)
    assert sent[-1].endswith(announce.RESTORE_TITLE)
    assert sum("33 %" in x for x in sent) == 1, "an unchanged title is not sent again"


async def test_title_and_notification_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(*run_at("mid"))
    app.settings = Settings(notify="off", title=False)
    assert [x for x in await sent_by(app, monkeypatch) if x] == []
