"""The live screen on a real pty: a reader that freezes, a storm of resizes, the mouse, the clipboard, ASCII."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.on_pty import OnPty
from tests.terminal.test_terminal_life import eventually, past, the_run, wait_for_end
from tests.terminal.tmux import Tmux, tmux

__all__ = ["tmux"]
pytestmark = pytest.mark.terminal
STANDIN = ["-m", "tests.terminal.standin"]
STEPS = "2000"


@pytest.fixture
def standin(fttui_home: Path) -> Iterator[OnPty]:
    """The stand-in trainer's live screen, up and training."""
    app = OnPty([*STANDIN, STEPS], (80, 24), FTTUI_HOME=str(fttui_home))
    assert app.read(30.0, until=b"of 2,000") is not None
    yield app
    app.close()


def test_a_frozen_reader_finds_the_current_screen_when_it_reads_again(standin: OnPty) -> None:
    run = the_run()
    step = past(run).step
    eventually(lambda: past(run).step >= step + 60)
    standin.press(b"s")
    assert standin.read(20.0, until=b"Stop this run") is not None
    standin.press(b"s")
    assert standin.read(20.0, until=b"fttui resume") is not None
    assert wait_for_end(run).state == "stopped"


def test_a_storm_of_resizes_ends_in_a_screen_of_the_last_size(tmux: Tmux) -> None:
    tmux.python(f"{' '.join(STANDIN)} {STEPS}")
    tmux.wait("of 2,000")
    for number in range(40):
        tmux.run("resize-window", "-t", "work", "-x", str(20 + 7 * number % 150), "-y", str(5 + 3 * number % 60))
    tmux.run("resize-window", "-t", "work", "-x", "100", "-y", "30")
    screen = tmux.wait(r"^ tiny · QLoRA (.*\n){29} q leave")
    assert all(len(line) <= 100 for line in screen.splitlines())
    assert not past(the_run()).finished


def test_a_click_goes_to_a_panel_and_the_wheel_scrolls_the_log(standin: OnPty) -> None:
    while past(the_run()).step < 20:
        standin.read(0.1)
    standin.press(b"\x1b[<0;10;20M\x1b[<0;10;20m")
    assert standin.read(20.0, until=b"filter") is not None, "the footer of the log in focus"
    standin.press(b"v")  # what was printed, of which there is more than fits
    standin.read(1.0)
    standin.press(b"\x1b[<64;10;20M" * 3)
    assert standin.read(20.0, until=b"newer") is not None


def test_in_ascii_nothing_else_is_sent(fttui_home: Path) -> None:
    app = OnPty([*STANDIN, "60"], (80, 24), FTTUI_HOME=str(fttui_home), TERM="linux", COLORTERM="")
    assert app.read(30.0, until=b"of 60") is not None
    app.read(1.0)
    assert app.screen.isascii()
    app.close()


def test_what_is_copied_reaches_the_terminal_over_osc_52(tmux: Tmux) -> None:
    tmux.run("set", "-g", "set-clipboard", "on")
    tmux.python(f"{' '.join(STANDIN)} 20")
    tmux.wait("Saved: load it in Python")
    tmux.keys("y")
    eventually(lambda: str(the_run().path) in tmux.run("list-buffers", "-F", "#{buffer_sample}#{buffer_size}"))
    assert "from_pretrained(path)" in tmux.run("show-buffer")
    tmux.keys("q")
    tmux.wait("code=0")
