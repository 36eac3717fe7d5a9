"""Standard streams that are closed, full, or a pipe that nobody reads: the exit code is right, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PLAN = "plan --model 8b --gpu 4090 --rows 500 --row-tokens 400"


def shell(redirection: str, words: str = PLAN, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m tui {words} {redirection}"],
        capture_output=True,
        text=True,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}, **environment},
        timeout=60,
    )


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed(closed: str) -> None:
    done = shell(closed)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("columns", ["0", "1000000000", "\u00b2"])
def test_help_for_an_impossible_terminal_width(columns: str) -> None:
    """The library that draws the help would never end, or use all memory."""
    done = shell("", "resume --help", COLUMNS=columns)
    assert done.returncode == 0 and "--from-start" in done.stdout and not done.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_bytes_that_are_not_text(encoding: str) -> None:
    """Piped into `fttui chat`; how Python decodes them by default depends on the locale."""
    code = "from tui import streams; streams.settle(); print(ascii(input()), ascii(input()))"
    asked = subprocess.run(
        [sys.executable, "-c", code],
        input=b"a\xff\nsecond\n",
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
    )
    assert asked.stdout == b"'a\\ufffd' 'second'\n"


def test_an_error_without_standard_error() -> None:
    assert shell("2>&-", "plan --model 8b").returncode == 2
    assert shell("2>/dev/full", "plan --model 8b").returncode == 2


@pytest.mark.parametrize("words", [PLAN, "runs"])
def test_full(words: str) -> None:
    done = shell("> /dev/full", words)
    assert done.returncode == 4
    assert done.stderr == (
        "fttui: the disk is full (standard output or a file); free some space, or set FTTUI_HOME to a folder on "
        "another disk\n"
    )


@pytest.mark.parametrize("words", ["runs", "--help", "plan --help", "--version"])
def test_a_pipe_that_nobody_reads(words: str) -> None:
    done = shell("| true; exit ${PIPESTATUS[0]}", words)
    assert (done.returncode, done.stderr) == (0, "")
