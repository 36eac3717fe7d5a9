"""Several devices, each a real process (on CPUs, with gloo): they train what a single one trains."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.answers import Method
from backend.launch import launch, rank_training, several
from backend.run import control
from backend.run.control import Inbox
from backend.run.folder import RunFolder
from backend.training.parallel.ranks import ALONE
from backend.training.saving import checkpoint
from backend.training.saving.disk import DiskFull
from tests.backend.training import rank_faults, rank_steps
from tests.backend.training.helpers import events, log_text, losses, new_run, set_processes

FEW: dict[str, Any] = {"max_steps": 4, "eval_every": 2, "save_every": 2, "learning_rate": 1e-3}
ROUGH = {"bfloat16": 2e-3, "float16": 2e-4, "float32": 3e-6}
"""Relative tolerance of losses: in 16 bits, another arrangement of the rows rounds differently."""


@pytest.fixture(autouse=True)
def brief_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only briefly for the other ranks' errors, of which there are none here."""
    monkeypatch.setattr(several, "GRACE_SECONDS", 0.5)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks that fail when they are asked to."""
    monkeypatch.setattr(several, "CHILD", (sys.executable, "-m", "tests.backend.training.rank_faults"))


@pytest.fixture(scope="module")
def on_two(tiny_model: Path) -> dict[str, dict[str, Any]]:
    """The results of every kind of training on two ranks started by torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.backend.training.rank_steps", str(tiny_model)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=180, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["kind"]: line for line in found}


@pytest.mark.parametrize("kind", rank_steps.KINDS)
def test_two_ranks_make_the_updates_of_one(kind: str, on_two: dict[str, dict[str, Any]], tiny_model: Path) -> None:
    settings, theirs = rank_steps.KINDS[kind], on_two[kind]
    one = rank_steps.steps(tiny_model, settings, ALONE)
    rough = ROUGH[settings.precision]
    assert theirs["losses"] == pytest.approx(one["losses"], rel=rough)
    assert theirs["held_out"] == pytest.approx(one["held_out"], rel=rough)
    assert theirs["norms"] == pytest.approx(one["norms"], rel=max(1e-5, 10 * rough))
    assert theirs["alike"], "each rank has weights of its own"
    if settings.method == "full":
        assert one["held_share"] > 0.95 and theirs["held_share"] < 0.7, "a rank keeps more than its shard"


def train(folder: RunFolder) -> str:
    return launch.train(folder, Inbox(folder.commands_file))


def run(model: Path, data: Path, method: Method, processes: int, **changes: Any) -> RunFolder:
    """A run to its end."""
    folder = new_run(model, data, method, processes=processes, **{**FEW, **changes})
    assert train(folder) == "done", folder.log_file.read_text() + log_text(folder)
    return folder


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    found, _ = checkpoint.newest(folder.checkpoints)
    assert found is not None and found.manifest.step == 4
    return found.weights()


def copied_at(folder: RunFolder, step: int) -> RunFolder:
    """A copy of a run as if it had ended at `step`."""
    copy = RunFolder(folder.path.with_name(f"{folder.name}-{time.monotonic_ns()}"))
    shutil.copytree(folder.path, copy.path)
    for path in copy.checkpoints.glob("step-*"):
        if path.name != f"step-{step:08d}":
            shutil.rmtree(path)
    shutil.rmtree(copy.result, ignore_errors=True)
    return copy


def held_out(folder: RunFolder) -> list[float]:
    by_step = {event["step"]: event["loss"] for event in events(folder, "eval")}
    return [by_step[step] for step in sorted(by_step)]


def pause_after(folder: RunFolder, step: int) -> None:
    """Ask for a pause as soon as the step's event is written."""
    while not [event for event in events(folder, "step") if event["step"] >= step]:
        time.sleep(0.02)
    control.send(folder.commands_file, "pause")


def test_paused_killed_and_gone_on_with_as_if_nothing_had_been(tiny_model: Path, questions: Path, faults: None) -> None:
    """A sharded model, of which each rank has a state of its own."""
    task: dict[str, Any] = {"task": "number", "task_tokens": 4}
    one, two = run(tiny_model, questions, "full", 1, **task), run(tiny_model, questions, "full", 2, **task)
    scores = [[(x["step"], x["rows"], x["score"]) for x in events(folder, "task")] for folder in (one, two)]
    assert scores[0] == scores[1] and [x[:2] for x in scores[0]] == [(0, 4), (4, 4)]
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    assert held_out(two) == pytest.approx(held_out(one), rel=1e-5) and len(held_out(two)) == 3
    assert not events(two, "devices"), "the devices of a sharded model wait for each other in every layer"
    assert [path.name for path in sorted(one.result.iterdir())] == [path.name for path in sorted(two.result.iterdir())]

    folder = new_run(tiny_model, questions, "full", processes=2, **FEW)
    asking = threading.Thread(target=pause_after, args=(folder, 1), daemon=True)  # the run may fail before that step
    asking.start()
    assert train(folder) == "paused"
    asking.join()
    rank_faults.ask(folder.path, 1, 4, "kill")
    assert train(folder) == "failed"
    assert events(folder, "run_finished")[-1]["error"].startswith(
        "the process of device 2 of 2 was killed, most likely"
    )
    assert not folder.is_alive()
    assert train(folder) == "done"
    assert losses(folder) == losses(two) and held_out(folder)[-1] == held_out(two)[-1]
    expected = weights(two)
    assert all(torch.equal(value, expected[name]) for name, value in weights(folder).items())

    for count in (1, 3):  # another number of processes resumes what two have written
        other = copied_at(two, 2)
        set_processes(other, count)
        assert train(other) == "done", log_text(other)
        assert f"it was written by 2 devices, and {count} go on" in log_text(other)
        assert losses(other) == pytest.approx(losses(two), rel=1e-5)
        assert held_out(other)[-1] == pytest.approx(held_out(two)[-1], rel=1e-5)


def test_out_of_memory_on_one_device_lets_all_start_again_with_less(
    tiny_model: Path, questions: Path, faults: None
) -> None:
    folder = new_run(tiny_model, questions, "lora", processes=2, dropout=0.1, task="number", task_tokens=4, **FEW)
    rank_faults.ask(folder.path, 1, 4, "memory")
    assert train(folder) == "done", log_text(folder)
    assert {(x["step"], x["rows"]) for x in events(folder, "task")} == {(0, 4), (4, 4)}
    (oom,) = events(folder, "oom")
    assert oom["during"] == "step 4" and oom["text"].endswith("CUDA out of memory (device 2 of 2)")
    (replanned,) = events(folder, "replanned")
    assert replanned["changed"] == {"micro_batch": 1}
    assert [event["step"] for event in events(folder, "step")] == [1, 2, 3, 3, 4]
    timed = events(folder, "devices")
    assert {event["step"] for event in timed} == {1, 2, 3, 4} and all(min(x["busy_seconds"]) > 0 for x in timed)
    assert {len(event["busy_seconds"]) for event in timed} == {2}, "what each device computes before it waits"
    assert folder.adjusted() == {"micro_batch": 1}
    assert (folder.result / "adapter_model.safetensors").is_file()


def test_parts_of_a_checkpoint_that_found_no_room_are_gone(tmp_path: Path) -> None:
    with pytest.raises(DiskFull), checkpoint.own_part(tmp_path, 3, 1):
        checkpoint.write_part(tmp_path, 3, 1, {"a": torch.zeros(9)})
        assert list(tmp_path.iterdir())
        raise DiskFull(tmp_path, 9)
    assert not list(tmp_path.iterdir())


def test_why_a_rank_failed_is_said_once(tiny_model: Path, tmp_path: Path) -> None:
    folder = new_run(tiny_model, tmp_path / "gone.jsonl", "lora", processes=2)
    assert train(folder) == "failed"
    (end,) = events(folder, "run_finished")
    assert "gone.jsonl" in end["error"] and not folder.is_alive()


@pytest.mark.parametrize(("takes", "ended"), [(0.3, 1), (0.0, 0)])
def test_ranks_that_do_not_find_each_other_end(takes: float, ended: int) -> None:
    late: list[int] = []
    with rank_training.within(0.1, lambda: late.append(1)):
        time.sleep(takes)
    time.sleep(0.2)
    assert len(late) == ended
