"""A full disk: what the libraries raise for it, and what a run makes of it."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from backend import units
from backend.run import control
from backend.training import methods, session
from backend.training.parallel.execution import Execution
from backend.training.report import Report
from backend.training.saving import checkpoint, disk
from backend.training.saving.disk import DiskFull
from backend.training.train import train
from tests.backend.training.helpers import events, log_text, losses, new_run

FULL = "Error while serializing: I/O error: No space left on device (os error 28)"
BIG = {"a": torch.zeros(1 << 20)}


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond this size, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("weights", "state"), [(BIG, {}), ({}, {"x": [BIG]})], ids=["weights", "state"])
def test_a_checkpoint_that_finds_no_room_says_what_it_needs(
    weights: dict[str, torch.Tensor], state: dict[str, Any], tmp_path: Path
) -> None:
    with files_up_to(1 << 20), pytest.raises(DiskFull, match=r"^4\.2 MB are needed in .*, where .* are free$"):
        checkpoint.write(tmp_path, 1, weights, state, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (Exception("No space left on device (os error 28)"), 28),  # tokenizers
        (SafetensorError("I/O error: Disk quota exceeded (os error 122)"), 28),
        (OSError([("a", "b", "[Errno 28] No space left on device")]), 28),  # shutil.Error
        (SafetensorError("I/O error: Permission denied (os error 13)"), 13),
        (OSError(5, "Input/output error"), 5),
    ],
)
def test_errors_of_the_system_are_told_from_others(error: Exception, number: int, tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised, disk.draft(tmp_path / "draft", 10):
        raise error
    assert raised.value.errno == number
    assert isinstance(raised.value, DiskFull) == (number == 28)
    assert not (tmp_path / "draft").exists()


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such layer"), disk.draft(tmp_path / "draft", 10):
        raise ValueError("no such layer")


def failing_saves(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Make these calls of safetensors fail as on a full disk."""
    save, calls = vars(checkpoint)["save_file"], []

    def failing(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) in numbers:
            raise SafetensorError(FULL)
        save(*arguments)

    monkeypatch.setattr(checkpoint, "save_file", failing)


def test_a_checkpoint_without_room_is_said_and_the_next_one_tried(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = new_run(tiny_model, questions, save_every=2, max_steps=6)
    assert train(undisturbed) == "done"
    failing_saves(monkeypatch, 2)
    folder = new_run(tiny_model, questions, save_every=2, max_steps=6)
    assert train(folder) == "done"
    assert [event["step"] for event in events(folder, "checkpoint")] == [2, 6]
    said = r"the checkpoint of step 4 was not written: .* are needed in .*checkpoints, where .* are free; the one of"
    assert re.search(said + " step 2 is good", log_text(folder))
    assert losses(folder) == losses(undisturbed)


def ended(folder: Any) -> str:
    assert train(folder) == "failed"
    (end,) = events(folder, "run_finished")
    assert not list(folder.path.rglob(".writing*")), "what could not be written gives its room back"
    return str(end["error"])


def test_a_stop_without_room_for_its_checkpoint(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions)
    monkeypatch.setattr(session.Session, "evaluate", lambda *_: control.send(folder.commands_file, "stop"))
    failing_saves(monkeypatch, 1)
    error = ended(folder)
    assert error.startswith("the disk is full: ") and error.endswith(f", then `fttui resume {folder.name}`")


def test_a_result_without_room(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(loaded: methods.Loaded, plan: Any, folder: Path, ranks: Any) -> None:
        (folder / "half").write_text("of it")
        raise SafetensorError(FULL)

    monkeypatch.setattr(methods, "save", full)
    folder = new_run(tiny_model, questions, "full", max_steps=2)
    error = ended(folder)
    needed = (
        sum(x.numel() for x in methods.load(tiny_model, "", Execution(folder.job().plan, "cpu")).network.parameters())
        * 4
    )
    assert f"the disk is full: {units.disk(needed)} are needed in {folder.path}, where" in error
    monkeypatch.undo()
    assert train(folder) == "done", "the checkpoint of the last step is there"
    assert len(events(folder, "step")) == 2


def test_a_disk_that_takes_no_event_either(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("event", "say"):
        monkeypatch.setattr(Report, name, full)
    folder = new_run(tiny_model, questions, max_steps=2)
    assert train(folder) == "failed"
    assert not folder.is_alive() and "No space left" in folder.log_file.read_text()
