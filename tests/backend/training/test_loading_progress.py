"""The number of loaded weights comes from the library's own progress bar, which stays invisible."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers.utils import logging

from backend.run.event_log import EventLog
from backend.training import report
from backend.training.loading_progress import reported_to
from tests import events_on_disk


def test_each_item_of_a_bar_is_reported_and_the_old_bar_is_restored() -> None:
    heard: list[tuple[int, int]] = []
    with reported_to(lambda done, total: heard.append((done, total))):
        assert list(logging.tqdm({"a": 1, "b": 2}.items(), desc="Loading weights")) == [("a", 1), ("b", 2)]
        with logging.tqdm(total=3) as bar:  # no iterable: this bar is left as it is
            bar.update(1)
    assert heard == [(0, 2), (1, 2)]
    assert list(logging.tqdm([1])) == [1] and len(heard) == 2


def test_a_library_without_the_hook_loads_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(logging, "set_tqdm_hook")
    with reported_to(lambda done, total: pytest.fail("it can't be asked")):
        assert list(logging.tqdm([1, 2])) == [1, 2]


def test_progress_is_written_twice_a_second_at_the_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr("backend.training.report.time.monotonic", lambda: now[0])
    log = EventLog(tmp_path / "events.jsonl")
    own = report.Report(log)
    own.phase("load")
    for done in range(10):
        own.progress("weights", done, 10)
        now[0] += 0.2
    own.phase("eval")
    own.progress("rows", 1, 2)
    log.close()
    found = events_on_disk.read(tmp_path / "events.jsonl", "progress")
    assert [(x["what"], x["done"], x["total"]) for x in found] == [("weights", done, 10) for done in (3, 6, 9)]


def test_a_phase_that_goes_on_is_not_said_again(tmp_path: Path) -> None:
    log, told = EventLog(tmp_path / "events.jsonl"), list[str]()
    own = report.Report(log)
    own.on_phase = told.append
    for name in ("train", "save", "save", "forgetting", "save"):
        own.phase(name)
    log.close()
    found = events_on_disk.read(tmp_path / "events.jsonl", "phase")
    assert [x["name"] for x in found] == ["train", "save", "forgetting", "save"]
    assert told == ["train", "save", "save", "forgetting", "save"]
