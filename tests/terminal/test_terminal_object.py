"""Our own terminal object on a pty: it never raises and never waits for ever."""

from __future__ import annotations

import errno
import os
import pty
from collections.abc import Iterator

import pytest

from tui.terminal import Terminal

pytestmark = pytest.mark.terminal


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Master and slave of a pty."""
    master, slave = pty.openpty()
    yield master, slave
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError as error:
            assert error.errno == errno.EBADF  # the test closed it


def arrived(master: int, count: int) -> str:
    """The first `count` bytes; the kernel may pass on what was written in several parts."""
    data = b""
    while len(data) < count:
        data += os.read(master, count - len(data))
    return data.decode()


def test_it_writes_to_the_terminal(ends: tuple[int, int]) -> None:
    master, slave = ends
    Terminal(slave).write("hello ✓")
    assert arrived(master, len("hello ✓".encode())) == "hello ✓"


def test_the_shell_keeps_a_blocking_terminal(ends: tuple[int, int]) -> None:
    _, slave = ends
    Terminal(slave)
    assert os.get_blocking(slave)


def test_without_a_name_a_duplicate_serves(ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = ends

    def nameless(_fd: int) -> str:
        raise OSError(errno.ENOTTY, "no name")

    def refused(*_arguments: object) -> int:
        raise OSError(errno.ENXIO, "no controlling terminal")

    monkeypatch.setattr(os, "ttyname", nameless)
    monkeypatch.setattr(os, "open", refused)
    terminal = Terminal(slave)
    text = "x" * 1000
    terminal.write(text)
    assert arrived(master, len(text)) == text
    assert os.get_blocking(slave)


def test_a_closed_terminal_swallows_everything(ends: tuple[int, int]) -> None:
    master, slave = ends
    terminal = Terminal(slave)
    assert not terminal.hung_up()
    os.close(master)
    assert terminal.write("into the void") == 13
    assert terminal.hung_up()
    assert terminal.gone


def test_while_leaving_a_terminal_that_takes_nothing_is_given_up(ends: tuple[int, int]) -> None:
    _, slave = ends
    terminal = Terminal(slave)
    terminal.closing = True
    text = "y" * 10_000_000  # more than any pty holds, and nobody reads
    assert terminal.write(text) == len(text)
    assert terminal.gone
