"""A scheduler signals every process of a job: a run's worker processes survive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backend import signals
from backend.data.chat import renderer
from backend.data.chat.tokenizer import TextTokenizer


@pytest.mark.parametrize("number", signals.FROM_OUTSIDE)
def test_the_process_that_renders_templates_lives_on(number: int, tiny_model: Path) -> None:
    tokenizer = TextTokenizer.load(tiny_model)
    turns = [{"role": "user", "content": f"signal {number}"}]
    before = tokenizer.render(turns)
    child = renderer._running()
    os.kill(child._process.pid, number)
    turns[0]["content"] = "again"
    assert tokenizer.render(turns) == before.replace(f"signal {number}", "again")
    assert renderer._running() is child


def test_a_child_that_ignores_them_ends_by_its_pipe() -> None:
    code = "import sys; from backend import signals; signals.ignore(); print('on', flush=True); sys.stdin.read()"
    with signals.blocked():
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for number in signals.FROM_OUTSIDE:
        child.send_signal(number)
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == b"on\n"
    for number in signals.FROM_OUTSIDE:
        child.send_signal(number)
    child.stdin.close()
    assert child.wait(20) == 0


def test_this_process_gets_them_again_afterwards() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with signals.blocked():
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
