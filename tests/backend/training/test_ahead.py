"""What is made ahead of time equals what is made on demand."""

from __future__ import annotations

import threading

import pytest

from backend.training.ahead import Ahead


def test_the_next_one_is_made_by_another_thread_before_it_is_asked_for() -> None:
    made: dict[int, str] = {}
    ready = {step: threading.Event() for step in range(3)}

    def make(step: int) -> int:
        made[step] = threading.current_thread().name
        ready[step].set()
        return 10 * step

    ahead = Ahead(make, 3)
    for step in range(3):
        assert ahead.take(step) == 10 * step
        if step < 2:
            assert ready[step + 1].wait(5)
    assert made[0] == threading.current_thread().name
    assert made[1].startswith("batches") and made[2] == made[1] and len(made) == 3


def test_what_is_asked_for_again_is_made_anew() -> None:
    setting = ["old"]
    ahead = Ahead(lambda step: (step, setting[0]), 5)
    assert ahead.take(0) == (0, "old")
    ahead.forget()
    setting[0] = "new"
    assert [ahead.take(0), ahead.take(1), ahead.take(3)] == [(0, "new"), (1, "new"), (3, "new")]


def test_a_failure_is_raised_where_it_is_waited_for() -> None:
    def make(step: int) -> int:
        if step == 1:
            raise OSError("gone")
        return step

    ahead = Ahead(make, 3)
    assert ahead.take(0) == 0
    with pytest.raises(OSError, match="gone"):
        ahead.take(1)
