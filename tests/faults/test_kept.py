"""A run folder and the presets of version 0.1, as 0.1 wrote them: they must always open. Never rewrite these files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from backend import paths, presets
from backend.run import events
from backend.run.folder import RunFolder
from backend.run.history import read
from backend.run.summary import summarise
from tui import cli

KEPT = Path(__file__).parent / "kept_0_1"
PRESETS = sorted(path.stem for path in (KEPT / "presets").glob("*.toml"))


@pytest.fixture
def kept() -> RunFolder:
    """The run, among those of this home."""
    return RunFolder(Path(shutil.copytree(KEPT / "run", paths.runs() / "20261130-011456-tiny-lora")))


def test_the_plan_and_what_was_predicted(kept: RunFolder) -> None:
    job = kept.job()
    assert (job.plan.method, job.plan.rank, job.plan.max_length, job.plan.save_every) == ("lora", 16, 128, 3)
    assert (job.model, job.data) == ("/models/tiny", "/data/rows.jsonl")
    assert job.predicted is not None
    assert job.predicted.peak_bytes == 904_539_857


def test_the_history(kept: RunFolder) -> None:
    lines = kept.events_file.read_bytes()
    assert len(events.decoded(lines)) == lines.count(b"\n") == 29
    history = read(kept.events_file)
    assert (history.state, history.step, history.total_steps) == ("done", 4, 4)
    assert list(history.steps) == [1, 2, 3, 4]
    assert history.losses[-1] == pytest.approx(5.905316)
    assert [found.step for found in history.checkpoints] == [3, 4]
    assert summarise(kept).peak_bytes == 513_007_616


@pytest.mark.parametrize("command", ["runs", "runs --json", "watch tiny --once", "watch tiny --plain"])
def test_commands_on_it(kept: RunFolder, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(command.split()) == 0
    assert "tiny" in capsys.readouterr().out or "plain" in command


@pytest.mark.torch
def test_the_manifest_of_its_checkpoint(kept: RunFolder) -> None:
    from backend.training.saving import checkpoint

    (found,) = checkpoint.every(kept.checkpoints)
    assert (found.manifest.step, sorted(found.manifest.sha256)) == (4, ["state.pt", "weights.safetensors"])


@pytest.mark.parametrize("name", PRESETS)
def test_its_presets(name: str) -> None:
    (paths.own_presets() / f"kept-{name}.toml").write_bytes((KEPT / "presets" / f"{name}.toml").read_bytes())
    preset = presets.load(f"kept-{name}")
    assert preset.description
    assert preset.plan["method"] in ("lora", "qlora", "full") if "method" in preset.plan else preset.plan
