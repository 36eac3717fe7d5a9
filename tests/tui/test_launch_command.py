"""`fttui launch`: what it prints, writes and submits, and what it refuses before that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from backend.answers import Answers
from backend.errors import DoesNotFit, UserError
from backend.run.folder import RunFolder
from tests.backend.run.test_folder import JOB
from tui.commands.launch import launch


@pytest.fixture
def here(tiny_model: Path, questions: Path) -> Answers:
    return Answers(model=str(tiny_model), data=str(questions), gpu="A100-80GB:2", budget_usd=5.0)


def test_it_prints_the_file(here: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(on="slurm", method="lora", answers=here) == 0
    out = capsys.readouterr().out
    assert out.startswith("#!/bin/bash\n") and "#SBATCH --gres=gpu:2\n" in out and "--budget 5" in out


def test_it_writes_the_file(here: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "task.yaml"
    assert launch(on="skypilot", method="lora", answers=here, out=out) == 0
    assert 'accelerators": {"A100-80GB": 2}' in out.read_text()
    assert capsys.readouterr().out == f"{out}\n"


def test_it_writes_over_its_own_files_only(
    here: Answers, tmp_path: Path, questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--out rows.jsonl` would otherwise end the data, and root's `--out /dev/null` the device."""
    rows, pipe, link = questions.read_bytes(), tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for out, said in (
        (questions, "is there already and is no launch file"),
        (pipe, "is no regular file"),
        (link, "is no regular file"),
        (tmp_path, "is a folder"),
        (Path("/"), "is a folder"),
    ):
        with pytest.raises(UserError, match=said):
            launch(on="slurm", method="lora", answers=here, out=out)
    assert questions.read_bytes() == rows and pipe.is_fifo() and link.is_symlink()
    (tmp_path / "empty").touch()
    for _ in range(2):
        assert launch(on="slurm", method="lora", answers=here, out=tmp_path / "empty") == 0
    assert (tmp_path / "empty").read_text().startswith("#!/bin/bash")


def test_it_hands_over_through_the_client(
    here: Answers, tmp_path: Path, fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "sbatch"
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nexit ${{CODE:-0}}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert launch(on="slurm", method="lora", answers=here, submit=True) == 0
    (file,) = (fttui_home / "launches").iterdir()
    assert (tmp_path / "said").read_text() == f"{file}\n" and "#SBATCH" in file.read_text()


@pytest.mark.parametrize(("code", "said"), [("7", "`sbatch` ended with code 7; its own message is above"), ("4", "")])
def test_a_client_that_takes_nothing_is_told(
    code: str, said: str, here: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "sbatch"
    fake.write_text(f"#!/bin/sh\nexit {code}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if not said:  # what our own command there said
        assert launch(on="slurm", method="lora", answers=here, submit=True) == int(code)
        return
    with pytest.raises(UserError, match=said):
        launch(on="slurm", method="lora", answers=here, submit=True)


@pytest.mark.parametrize(("engine", "client"), [("skypilot", "sky"), ("ssh:box", "ssh"), ("kubeflow", "kubectl")])
def test_a_client_that_is_missing_is_named(
    engine: str, client: str, here: Answers, fttui_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    there = {"model_there": "/fttui-runs/model", "data_there": "/fttui-runs/rows.jsonl"}
    with pytest.raises(
        UserError, match=f"--submit to {engine} needs its client `{client}`, which is not installed here"
    ):
        launch(on=engine, method="lora", answers=here, submit=True, **there)  # type: ignore[arg-type]
    assert not (fttui_home / "launches").exists()


def test_the_plan_of_a_run(capsys: pytest.CaptureFixture[str], fttui_home: Path) -> None:
    folder = RunFolder.create(JOB)
    assert launch(str(folder.plan_file), on="ssh:me@box") == 0
    out = capsys.readouterr().out
    assert f'method = "{JOB.plan.method}"' in out and f"--data {JOB.data}" in out and "--detach" in out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "full"}, "--method can't change"),
        ({"answers": Answers(set=("rank=64",))}, "--set can't change"),
        ({"answers": Answers(gpu="H100")}, "--gpu can't change"),
    ],
)
def test_the_plan_of_a_run_is_launched_as_it_is(changes: dict[str, Any], said: str) -> None:
    """An option that would change it is refused, not ignored."""
    plan = str(RunFolder.create(JOB).plan_file)
    with pytest.raises(UserError, match=f"^{said} .*plan.toml, which is launched as it was planned"):
        launch(plan, on="slurm", **changes)
    assert launch(plan, on="slurm", answers=Answers(budget_usd=3.0)) == 0


@pytest.mark.parametrize("name", ["storage", "package"])
def test_what_a_box_by_ssh_has_of_its_own(name: str, here: Answers) -> None:
    words: dict[str, Any] = {name: "x"}
    with pytest.raises(UserError, match=f"^{name}: a run by ssh .*its box.*--{name}"):
        launch(on="ssh:box", method="lora", answers=here, **words)


def test_a_size_has_no_weights(questions: Path) -> None:
    with pytest.raises(UserError, match="has no weights here"):
        launch(on="slurm", answers=Answers(model="8b", data=str(questions), gpu="A100-80GB"))


def test_a_cpu_is_taken_only_if_it_is_named(here: Answers, tiny_model: Path, questions: Path) -> None:
    bare = Answers(model=str(tiny_model), data=str(questions))
    with pytest.raises(UserError, match="name the other box's with --gpu NAME, or --gpu cpu"):
        launch(on="skypilot", method="lora", answers=bare)
    assert launch(on="torchrun", method="lora", answers=bare) == 0


def test_over_budget_is_said_before_a_file_is_written(tiny_model: Path, questions: Path, tmp_path: Path) -> None:
    poor = Answers(model=str(tiny_model), data=str(questions), gpu="A100-80GB", budget_usd=0.000001)
    with pytest.raises(DoesNotFit):
        launch(on="slurm", method="lora", answers=poor, out=tmp_path / "x.sbatch")
    assert not (tmp_path / "x.sbatch").exists()
