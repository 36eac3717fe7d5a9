"""Runs that wait: their order on disk, and when the worker starts the next one."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend import atomic, paths, settings
from backend.errors import UserError
from backend.hardware import Hardware
from backend.hardware.types import GpuProcess
from backend.launch.queue import waiting, worker
from backend.plan.job import Prediction
from backend.run import history, plan_file
from backend.run.folder import RunFolder
from tests import at_once, events_on_disk
from tests.backend.planner.test_devices import RTX_4090
from tests.backend.run.test_folder import JOB

GPU = replace(RTX_4090, uuid="GPU-1", processes=(), free_bytes=RTX_4090.memory_bytes)
BUSY = replace(GPU, processes=(GpuProcess(7, "python", 2**30),))


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def queued(*names: str) -> list[RunFolder]:
    """Runs of these names, waiting in this order."""
    folders = []
    for name in names:
        made = RunFolder.create(replace(JOB, device="cuda", device_uuids=("GPU-1",)))
        path = made.path.with_name(name)
        made.path.rename(path)
        folders.append(RunFolder(path))
        waiting.add(folders[-1])
    return folders


def test_order_moves_and_removals(fttui_home: Path) -> None:
    queued("a-one", "b-two", "c-three")
    assert waiting.names() == ["a-one", "b-two", "c-three"]
    assert waiting.move("three", 1) == ["c-three", "a-one", "b-two"]
    assert waiting.move("1", 3) == ["a-one", "b-two", "c-three"]
    assert waiting.remove("2") == "b-two" and waiting.names() == ["a-one", "c-three"]
    waiting.add(RunFolder(paths.runs() / "a-one"))
    assert waiting.names() == ["c-three", "a-one"]  # a run waits once


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("x", "'x' is no waiting run"),
        ("o", "'o' fits 2 waiting runs"),
        ("9", "is no waiting run"),
        ("9" * 5000, "is no waiting run"),
    ],
    ids=["no name", "two", "no place", "a place of 5,000 digits"],
)
def test_what_does_not_wait(reference: str, said: str, fttui_home: Path) -> None:
    queued("a-one", "b-two")
    with pytest.raises(UserError, match=said):
        waiting.remove(reference)
    with pytest.raises(UserError, match="place 3 is not in the queue; it has 2"):
        waiting.move("a-one", 3)


def test_a_damaged_list_is_an_empty_one(fttui_home: Path) -> None:
    queued("a-one")
    (fttui_home / "queue.json").write_text('{"a": ')
    assert waiting.names() == []


ADDER_IMPORTS = """
from pathlib import Path
from backend.launch.queue import waiting
from backend.run.folder import RunFolder
"""
ADDER = """
for name in sys.argv[1:]:
    waiting.add(RunFolder(Path(name)))
"""


def test_several_that_add_at_once_lose_nothing(fttui_home: Path) -> None:
    fttui_home.mkdir(exist_ok=True)
    names = [f"run-{i}" for i in range(40)]
    at_once.run(ADDER_IMPORTS, ADDER, [names[i::4] for i in range(4)])
    assert sorted(waiting.names()) == sorted(names)


class Box:
    """GPUs, a clock, and what was started at which time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, gpus: Any) -> None:
        self.now, self.started = 0.0, list[tuple[str, float, tuple[str, ...]]]()
        self._gpus = gpus
        monkeypatch.setattr(worker, "detect", self.hardware)
        monkeypatch.setattr(
            worker, "train", lambda folder, _job, ids: self.started.append((folder.name, self.now, ids))
        )
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 1000, "it waits for ever"

    def hardware(self) -> Hardware:
        found: Any = type("Found", (), {"gpus": self._gpus(self.now)})()
        return found  # type: ignore[no-any-return]


def test_a_run_starts_when_the_gpu_has_been_free_for_a_minute(
    fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others use it until 30 s, and again from 60 to 90 s."""
    box = Box(monkeypatch, lambda now: (BUSY,) if now < 30 or 60 <= now < 90 else (GPU,))
    queued("a-one", "b-two")
    worker.work()
    assert [name for name, _, _ in box.started] == ["a-one", "b-two"]
    assert box.started[0][1] == pytest.approx(150, abs=worker.LOOK_SECONDS)
    assert waiting.names() == []


def test_another_gpu_that_is_free_is_taken(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(monkeypatch, lambda _: (BUSY, replace(GPU, uuid="GPU-2", index=1)))
    queued("a-one")
    worker.work()
    assert box.started[0][2] == ("GPU-2",)


def planned_for(folder: RunFolder, peak_bytes: int, **changes: Any) -> None:
    job = folder.job()
    predicted = Prediction(peak_bytes, peak_bytes, peak_bytes)
    plan_file.write(folder.plan_file, replace(job, plan=replace(job.plan, **changes), predicted=predicted))


def test_a_smaller_gpu_that_is_free_is_not_taken(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(GPU, uuid="GPU-2", index=1, memory_bytes=8 << 30, free_bytes=8 << 30)
    box = Box(monkeypatch, lambda now: ((BUSY if now < 300 else GPU), small))
    (folder,) = queued("a-one")
    planned_for(folder, 20 << 30)
    worker.work()
    assert box.started[0][2] == ("GPU-1",) and box.started[0][1] > 300


@pytest.mark.parametrize("changes", [{"processes": 3}, {}])
def test_a_run_that_this_box_can_no_longer_train_is_told_and_left_out(
    changes: dict[str, Any], fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPUs have disappeared since it was planned: the other runs don't wait for it for ever."""
    box = Box(monkeypatch, lambda _: (replace(GPU, uuid="GPU-7", memory_bytes=8 << 30, free_bytes=8 << 30),))
    first, _ = queued("a-one", "b-two")
    planned_for(first, 20 << 30, **changes)
    worker.work()
    assert [name for name, _, _ in box.started] == ["b-two"]
    past = history.read(first.events_file)
    assert past.state == "failed"
    (end,) = events_on_disk.read(first.events_file, "run_finished")
    assert "and this box has 0 on which it fits" in end["error"]


def test_memory_that_somebody_holds_is_not_free() -> None:
    assert worker.is_free(GPU) and not worker.is_free(BUSY)
    assert not worker.is_free(replace(GPU, free_bytes=(GPU.memory_bytes or 0) // 2))
    assert worker.is_free(replace(GPU, processes=(GpuProcess(8, "Xorg", 2**28, computes=False),)))


def test_a_damaged_run_does_not_hold_the_others_up(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(monkeypatch, lambda _: (GPU,))
    first, _ = queued("a-one", "b-two")
    first.plan_file.write_text("not a plan")
    worker.work()
    assert [name for name, _, _ in box.started] == ["b-two"]


def test_a_run_that_can_t_be_written_to_does_not_hold_the_others_up(
    fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in place of its log."""
    box = Box(monkeypatch, lambda _: (GPU,))
    first, _ = queued("a-one", "b-two")

    def train(folder: RunFolder, _job: object, ids: tuple[str, ...]) -> None:
        if folder.name == first.name:
            raise IsADirectoryError(21, "Is a directory", "trainer.log")
        box.started.append((folder.name, box.now, ids))

    monkeypatch.setattr(worker, "train", train)
    worker.work()
    assert [name for name, _, _ in box.started] == ["b-two"]
    assert "trainer.log" in first.failure()


def test_with_settings_that_can_t_be_read_all_runs_go_on_waiting(
    fttui_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each would end at once, without a word."""
    box = Box(monkeypatch, lambda _: (GPU,))
    queued("a-one", "b-two")
    settings.path().write_text("on_finish = 3\n")
    monkeypatch.setattr("sys.argv", ["worker"])
    worker.main()
    assert not box.started and waiting.names() == ["a-one", "b-two"]
    assert "on_finish: 3 won't do" in capsys.readouterr().out
    with pytest.raises(UserError, match="on_finish"):
        worker.start()


def test_a_pipe_in_place_of_the_workers_log_is_not_waited_for(fttui_home: Path) -> None:
    os.mkfifo(paths.home() / "queue.log")
    with pytest.raises(UserError, match=r"queue\.log can't be used"):
        worker.start()


def test_only_one_works(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queued("a-one")
    seen = []

    def within() -> None:
        seen.append(worker.is_working())
        waiting.remove("a-one")

    monkeypatch.setattr(worker, "work", within)
    monkeypatch.setattr("sys.argv", ["worker"])
    assert not worker.is_working()
    worker.main()
    assert seen == [True] and not worker.is_working()


def test_a_look_at_the_worker_keeps_none_from_working(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fttui queue list` holds the lock for a moment to see whether the worker does."""
    queued("a-one")
    monkeypatch.setattr(worker, "work", lambda: waiting.remove("a-one"))
    monkeypatch.setattr("sys.argv", ["worker"])
    fd = os.open(worker._lock_file(), os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_SH)
    look = threading.Timer(0.03, os.close, (fd,))
    look.start()
    worker.main()
    look.join()
    assert waiting.names() == []


def test_queued_is_a_state_of_runs(fttui_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tui.commands import queue
    from tui.commands.runs import runs

    queued("a-one")
    runs(json=True)
    assert json.loads(capsys.readouterr().out)[0]["state"] == "queued"
    queue.list_queue()
    assert "1  a-one\nno worker starts them" in capsys.readouterr().out


def test_a_name_of_digits_is_a_name_before_it_is_a_place(fttui_home: Path) -> None:
    queued("2", "b-two")
    assert waiting.remove("2") == "2" and waiting.names() == ["b-two"]


def test_what_left_the_queue_meanwhile_is_not_put_back(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker takes the run after the user's command has read the list and before it writes the change."""
    queued("a-one", "b-two", "c-three")
    find = waiting.find

    def found_and_taken(reference: str) -> str:
        name = find(reference)
        waiting.take(name)
        return name

    monkeypatch.setattr(waiting, "find", found_and_taken)
    with pytest.raises(UserError, match="run b-two has just left the queue"):
        waiting.remove("b-two")
    with pytest.raises(UserError, match="run a-one has just left the queue"):
        waiting.move("a-one", 1)
    assert waiting.names() == ["c-three"]


def test_a_run_taken_out_while_the_worker_looks_is_not_started(
    fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gpus(now: float) -> tuple[Any, ...]:
        if now > 70:
            waiting.take("a-one")
        return (GPU,)

    box = Box(monkeypatch, gpus)
    queued("a-one", "b-two")
    monkeypatch.setattr(worker, "FREE_SECONDS", 72.0)
    worker.work()
    assert [name for name, _, _ in box.started] == ["b-two"]


def test_starting_a_run_takes_it_out_of_the_queue(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fttui resume` of a run that waits: it would be listed as queued while it trains."""
    one, two = queued("a-one", "b-two")
    waiting.leave(one)
    assert waiting.names() == ["b-two"]
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "write", full)
        waiting.leave(two)
    assert waiting.names() == ["b-two"], "the run starts all the same"


def test_a_run_that_was_resumed_while_it_waited_is_not_trained_again(
    fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(monkeypatch, lambda _: (GPU,))
    done, alive, _ = queued("a-done", "b-alive", "c-three")
    done.events_file.write_text('{"t": 1.0, "event": "run_finished", "state": "done"}\n')
    with alive.hold():
        worker.work()
    assert [name for name, _, _ in box.started] == ["c-three"]
