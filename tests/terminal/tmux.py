"""A real terminal for tests: its own server, a session that keeps it alive, and ways to wait for a screen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class Tmux:
    """A shell at 80x24 in a session `work`; `keep` only keeps the server up when `work` is killed."""

    def __init__(self, folder: Path, environment: dict[str, str], width: int = 80, height: int = 24) -> None:
        self._socket = str(folder / "tmux.sock")
        passed = {
            "PATH": os.environ["PATH"],
            "TERM": "tmux-256color",
            "LANG": "C.UTF-8",
            "PS1": "READY$ ",
        } | environment
        self._shell = ["env", "-i", *(f"{key}={value}" for key, value in passed.items())]
        self._shell += ["bash", "--norc", "--noprofile"]
        self._size = ("-x", str(width), "-y", str(height))
        self.run("-f", "/dev/null", "-u", "new-session", "-d", "-s", "keep", "cat")
        self.open("work")

    def open(self, session: str) -> None:
        """Open another terminal with a shell; keys go to it from now on."""
        self.run("new-session", "-d", "-s", session, *self._size, "-c", str(ROOT), *self._shell)
        self.use(session)
        self.wait(r"READY\$")

    def use(self, session: str) -> None:
        """Type into this session, and look at it."""
        self._session = session

    def run(self, *arguments: str) -> str:
        """A tmux command; returns what it prints."""
        command = ["tmux", "-S", self._socket, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self.run("send-keys", "-t", self._session, *keys)

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        self.run("send-keys", "-t", self._session, "-l", line)
        self.keys("Enter")

    def python(self, arguments: str) -> None:
        """Start this test run's Python with `arguments`."""
        self.type(f"{sys.executable} {arguments}; echo code=$?")

    def screen(self) -> str:
        """What is on the screen."""
        return self.run("capture-pane", "-p", "-J", "-t", self._session)

    def wait(self, pattern: str, seconds: float = WAIT_SECONDS) -> str:
        """The screen, once `pattern` is on it; fails with what is there instead."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, screen := self.screen()):
                return screen
            time.sleep(_LOOK_SECONDS)
        raise AssertionError(f"{pattern!r} did not come; the screen is\n{self.screen()}")

    def close(self) -> None:
        """End this server, and no other."""
        self.run("kill-server")


@pytest.fixture
def tmux(tmp_path: Path, fttui_home: Path) -> Iterator[Tmux]:
    """A terminal whose shell has this test's `$FTTUI_HOME`."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: what happens in a real terminal is not tested here")
    terminal = Tmux(tmp_path, {"FTTUI_HOME": str(fttui_home), "HF_HUB_OFFLINE": "1"})
    yield terminal
    terminal.close()
