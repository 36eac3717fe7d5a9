"""Nasty text in every place that shows outside text, over a real terminal: nothing of it is obeyed."""

from __future__ import annotations

import re

import pytest

from tests.terminal.tmux import Tmux, tmux

__all__ = ["tmux"]
pytestmark = pytest.mark.terminal


def test_a_terminal_obeys_nothing_that_a_run_says(tmux: Tmux) -> None:
    tmux.run("set", "-g", "set-clipboard", "on")
    title = tmux.run("display", "-p", "-t", "work", "#{pane_title}")
    tmux.python("-m tests.terminal.nasty_app")
    screen = tmux.wait("ALL SHOWN")
    assert "Loss" in screen, "something cleared the screen"
    for key in ("5", "5", "Home", "PageDown", "PageDown", "PageDown", "End", "m", "4", "Down", "Down"):
        tmux.keys(key)
    tmux.wait("2 Memory")
    state = tmux.run("display", "-p", "-t", "work", "#{alternate_on} #{pane_title}")
    assert re.fullmatch(r"1 0 %, ends .* - m · QLoRA\n", state), "the title is ours"
    assert "pwned" not in tmux.run("list-buffers")
    tmux.keys("q")
    tmux.wait("code=0")
    assert tmux.run("display", "-p", "-t", "work", "#{pane_title}") == title
