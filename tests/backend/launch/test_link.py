"""Connections between the boxes of a run: a box that stops responding, ends or leaves."""

from __future__ import annotations

import queue
import socket
import threading
import time

import pytest

from backend.launch import link
from backend.launch.link import Link


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LOST_SECONDS", 0.5)
    monkeypatch.setattr(link, "BEAT_SECONDS", 0.05)


def linked() -> tuple[Link, Link, queue.Queue[str], queue.Queue[str]]:
    """The first box and another one, and what each has lost."""
    lost: tuple[queue.Queue[str], queue.Queue[str]] = (queue.Queue(), queue.Queue())
    first, other = Link(lost[0].put), Link(lost[1].put)
    other.connect("127.0.0.1", first.listen())
    return first, other, *lost


def test_boxes_that_beat_are_there() -> None:
    first, other, *lost = linked()
    time.sleep(1.2)
    assert all(x.empty() for x in lost)
    first.leave()
    other.leave()


def test_a_box_that_leaves_is_not_lost() -> None:
    first, other, *lost = linked()
    time.sleep(0.1)
    other.leave()
    time.sleep(1.0)
    assert all(x.empty() for x in lost)
    first.leave()


def test_a_silent_box_is_lost_on_either_side(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, *lost = linked()
    time.sleep(0.1)
    monkeypatch.setattr(socket.socket, "sendall", lambda self, data: None)  # the cable is out
    began = time.monotonic()
    assert [x.get(timeout=3) for x in lost] == ["127.0.0.1", "127.0.0.1"]
    assert 0.3 < time.monotonic() - began < 2.5
    assert all(x.empty() for x in lost)  # said once


def test_a_box_whose_process_ended_is_lost_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LOST_SECONDS", 30.0)
    lost: queue.Queue[str] = queue.Queue()
    first = Link(lost.put)
    port, password = first.listen().split()
    with socket.create_connection(("127.0.0.1", int(port))) as one:
        one.sendall(password.encode())
        time.sleep(0.1)
    assert lost.get(timeout=3) == "127.0.0.1"


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1", b"0" * 32])
def test_a_connection_without_the_password_is_refused(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_GREETING_SECONDS", 0.1)
    lost: queue.Queue[str] = queue.Queue()
    first, other = Link(lost.put), Link(lost.put)
    word = first.listen()
    with socket.create_connection(("127.0.0.1", int(word.split()[0]))) as scanner:
        scanner.sendall(said)
        assert scanner.recv(1) == b""
    other.connect("127.0.0.1", word)  # the others still come in
    time.sleep(0.8)
    assert lost.empty()


def test_its_threads_end_with_the_process() -> None:
    linked()
    assert all(x.daemon for x in threading.enumerate() if x.name == "link")
