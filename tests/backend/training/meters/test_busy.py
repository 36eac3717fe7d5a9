"""The time that a device computes before it waits, added up between two readings."""

from __future__ import annotations

import time

import pytest

from backend.training.meters.busy import Busy


def test_stretches_are_added_up_and_a_reading_begins_anew() -> None:
    busy = Busy("cpu")
    assert not busy.is_used
    for _ in range(2):
        with busy.stretch():
            time.sleep(0.01)
    time.sleep(0.05)
    assert 0.02 <= busy.take() < 0.05, "what is between the stretches is waiting"
    assert busy.take() == 0.0 and not busy.is_used


def test_a_stretch_that_failed_is_left_out() -> None:
    busy = Busy("cpu")
    with pytest.raises(MemoryError), busy.stretch():
        raise MemoryError
    assert busy.take() == 0.0
