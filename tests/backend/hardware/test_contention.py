"""Whether other programs took cores away, from what Linux counts for each thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.hardware import contention
from backend.hardware.contention import Times

START = Times(10.0, 3.0, 0.5)


def later(clock: float, ran: float, waited: float) -> Times:
    return Times(START.clock + clock, START.ran + ran, START.waited + waited)


@pytest.mark.parametrize(
    ("clock", "ran", "waited", "cores", "busy"),
    [
        (1.0, 1.98, 0.02, 2.0, False),  # alone
        (1.0, 1.33, 0.67, 2.0, True),  # beside one process that computes
        (1.0, 0.3, 1.7, 2.0, True),  # beside a dozen
        (1.0, 1.0, 0.0, 2.0, False),  # one thread alone
        (1.0, 2.0, 1.0, 2.0, False),  # three threads of its own
        (1.0, 1.5, 6.5, 1.5, False),  # eight threads under a quota of one and a half cores
        (1.0, 0.0, 0.0, 2.0, False),  # a kernel that does not count it
    ],
)
def test_busy_means_waiting_for_others(clock: float, ran: float, waited: float, cores: float, busy: bool) -> None:
    assert contention.is_busy(START, later(clock, ran, waited), cores) is busy


def test_threads_are_added_up_and_ended_ones_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("1", "2000000000 500000000 7"), ("2", "1000000000 0 3"), ("3", ""), ("4", "gone")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text(text)
    (tmp_path / "5").mkdir()
    monkeypatch.setattr(contention, "THREADS", tmp_path)
    assert contention.now()[1:] == (3.0, 0.5)
    monkeypatch.setattr(contention, "THREADS", tmp_path / "nowhere")
    assert contention.now()[1:] == (0.0, 0.0)
