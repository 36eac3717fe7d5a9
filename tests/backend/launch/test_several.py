"""The parent of several ranks: which rank's error it reports, and what it does when they have ended."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.hardware import cgroup, host, visible
from backend.launch import several
from backend.launch.several import FAILED, LATE, START_AGAIN, RankOutcome
from backend.run import plan_file
from backend.run.control import Inbox
from backend.run.event_log import EventLog
from backend.run.events import RunFinished
from backend.run.folder import RunFolder
from tests import events_on_disk
from tests.backend.run.test_folder import JOB

LEANER = RankOutcome("micro-batch 4 -> 2", "out of memory in step 3", "step 3", 2, {"micro_batch": 2})
BROKEN = RankOutcome("RuntimeError: connection closed by peer")


@pytest.fixture
def folder(fttui_home: Path) -> RunFolder:
    return RunFolder.create(replace(JOB, plan=replace(JOB.plan, processes=2)))


def train(folder: RunFolder) -> str:
    return several.train(folder, Inbox(folder.commands_file))


def events(folder: RunFolder, name: str) -> list[dict[str, Any]]:
    return events_on_disk.read(folder.events_file, name)


@pytest.mark.parametrize(
    ("verdicts", "first", "expected"),
    [
        ([], [], None),
        ([(1, BROKEN), (0, LEANER)], [0, FAILED], "micro-batch 4 -> 2"),
        ([(0, LEANER)], [-6, START_AGAIN], "micro-batch 4 -> 2"),
        ([(1, BROKEN)], [-9, 0], "the process of device 1 of 2 was killed, most likely since the memory of this box"),
        ([(1, BROKEN)], [0, FAILED], "RuntimeError: connection closed by peer"),
        ([], [1, 0], "the process of device 1 of 2 died (exit code 1)"),
        ([], [0, LATE], "the processes of the 2 devices did not find each other; `fttui resume` tries again"),
    ],
)
def test_which_ranks_failure_is_reported(
    verdicts: list[tuple[int, RankOutcome]], first: list[int], expected: str | None, tmp_path: Path
) -> None:
    """Running out of memory comes first; then the rank that failed first, since the others fail as they lose it."""
    for rank, verdict in verdicts:
        verdict.write(tmp_path, rank)
    found = several._verdict(tmp_path, first)
    assert found is None if expected is None else found is not None and found.text.startswith(expected)


def lives(
    monkeypatch: pytest.MonkeyPatch, folder: RunFolder, *outcomes: tuple[str | None, RankOutcome | None]
) -> list[Any]:
    """Let each attempt end with this state and verdict in turn; returns the adjustments that each began with."""
    left, began = list(outcomes), []

    def life(*_: Any) -> RankOutcome | None:
        state, verdict = left.pop(0)
        began.append(folder.adjusted())
        if state:
            log = EventLog(folder.events_file)
            log.write(RunFinished(state=state, step=4))
            log.close()
        return verdict

    monkeypatch.setattr(several, "_attempt", life)
    return began


def test_a_rank_out_of_memory_starts_again_with_less(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    began = lives(monkeypatch, folder, (None, LEANER), ("done", None))
    assert train(folder) == "done"
    assert began == [{}, {"micro_batch": 2}]
    (oom,), (replanned,) = events(folder, "oom"), events(folder, "replanned")
    assert (oom["during"], oom["step"]) == ("step 3", 2)
    assert replanned["changed"] == {"micro_batch": 2} and replanned["text"].endswith("less memory: micro-batch 4 -> 2")


def test_a_run_that_was_done_stays_done_whatever_dies_of_its_end(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives(monkeypatch, folder, ("done", RankOutcome("the process of device 2 of 2 died (exit code -11)")))
    assert train(folder) == "done"
    assert [event["state"] for event in events(folder, "run_finished")] == ["done"]


def test_the_end_of_an_earlier_life_is_not_taken_for_this_one_s(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.checkpoints / "step-00000004").mkdir()
    lives(monkeypatch, folder, ("stopped", None), (None, BROKEN))
    assert [train(folder), train(folder)] == ["stopped", "failed"]
    last = events(folder, "run_finished")[-1]
    assert last["error"] == BROKEN.text and last["step"] == 4


def test_wrong_input_of_the_ranks_is_told_from_a_failure(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    lives(monkeypatch, folder, (None, RankOutcome("rows.jsonl does not exist", wrong_input=True)), (None, BROKEN))
    assert [train(folder), train(folder)] == ["failed", "failed"]
    assert [event.get("wrong_input") for event in events(folder, "run_finished")] == [True, None]


def test_what_can_t_be_remembered_ends_the_run_rather_than_starting_for_ever(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RunFolder, changed: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lives(monkeypatch, folder, (None, LEANER))
    monkeypatch.setattr(RunFolder, "adjust", full)
    assert train(folder) == "failed"
    assert "No space left on device" in events(folder, "run_finished")[-1]["error"]


def test_ranks_see_the_gpus_that_the_user_shows(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not only the one that an earlier run used in this process; and each rank gets its number."""
    told = "json.dumps([sys.argv[2:4], dict(os.environ)])"
    script = f"import json, os, sys; open(sys.argv[4] + sys.argv[2], 'w').write({told})"
    monkeypatch.setattr(several, "CHILD", (sys.executable, "-c", script))
    monkeypatch.setenv(visible.VARIABLE, "GPU-of-another-run")
    for at_start in (None, "0,1"):
        monkeypatch.setattr(several, "VISIBLE_AT_START", at_start)
        for rank in range(2):
            process = several._started(folder, folder.job(), rank, tmp_path / "told", 0)
            assert process.wait(30) == 0 and process.stdin is not None
            process.stdin.close()
            arguments, environment = json.loads((tmp_path / f"told{rank}").read_text())
            assert arguments == [str(rank), "2"]
            assert environment.get(visible.VARIABLE) == at_start


@pytest.mark.parametrize(
    ("quota", "set_before", "each"),
    [(None, None, "4"), (None, "3", "3"), (4.0, "4", "2"), (4.0, None, "2"), (4.0, "3", "3"), (1.0, "1", "1")],
)
def test_two_ranks_share_the_cores_that_they_may_use(
    quota: float | None, set_before: str | None, each: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight cores; the trainer sets as many threads as a quota has cores, a user may set any other number."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(host, "_affinity", lambda _: 8)
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: quota)
    environment = {} if set_before is None else {"OMP_NUM_THREADS": set_before}
    several._share_threads(environment, 2)
    assert environment["OMP_NUM_THREADS"] == each


def test_a_plan_for_more_devices_than_any_box_has_starts_none(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edited into plan.toml: a process for each would take all memory of the box."""
    job = folder.job()
    plan_file.write(folder.plan_file, replace(job, plan=replace(job.plan, processes=4_000_000_000)))
    monkeypatch.setattr(several, "_started", lambda *_: pytest.fail("a process was started"))
    told: list[str] = []
    assert several.train(folder, Inbox(folder.commands_file), told.append) == "failed"
    (end,) = events(folder, "run_finished")
    assert end["wrong_input"] and told == [end["error"]]
    assert "no box has devices for 4,000,000,000; `fttui resume " in end["error"]
