"""Run folders: they are made, found by name, and a lock tells whether they are being trained."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backend.errors import UserError
from backend.plan.job import Job, Prediction
from backend.plan.plan import Plan
from backend.run.folder import RunFolder, all_runs

JOB = Job(
    model="org/some model",
    model_folder="org/some model",
    data="rows.jsonl",
    plan=Plan(method="lora", rank=8, target_modules="q_proj,v_proj"),
    device="cpu",
    device_name="CPU",
    predicted=Prediction(10, 9, 100, 1.5, 1.0, 2.0, 250.0),
    mapping=("prompt=q",),
    created=1_700_000_000.5,
)


def test_a_job_comes_back_from_its_folder() -> None:
    folder = RunFolder.create(JOB)
    assert folder.job() == JOB
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.name.endswith("some-model-lora")


def test_two_runs_of_one_second_have_two_names() -> None:
    names = {RunFolder.create(JOB).name for _ in range(5)}
    assert len(names) == 5


def test_runs_are_found_by_name_part_path_or_as_the_latest() -> None:
    first = RunFolder.create(JOB)
    second = RunFolder.create(replace(JOB, plan=Plan(method="full")))
    assert RunFolder.find("full").name == second.name
    assert RunFolder.find(first.name).path == first.path
    assert RunFolder.find(str(first.path)).path == first.path
    assert RunFolder.find().name == all_runs()[0].name
    with pytest.raises(UserError, match="fits 2 runs"):
        RunFolder.find("some-model")
    with pytest.raises(UserError, match="no run is called 'nothing'"):
        RunFolder.find("nothing")


def test_without_a_run_there_is_a_sentence() -> None:
    with pytest.raises(UserError, match="no run has been made"):
        RunFolder.find()


def test_the_lock_tells_who_lives() -> None:
    folder = RunFolder.create(JOB)
    assert not folder.is_alive()
    with folder.hold():
        assert folder.is_alive()
        with pytest.raises(UserError, match="another process"), RunFolder(folder.path).hold():
            pass
    assert not folder.is_alive()


def test_the_lock_dies_with_its_process() -> None:
    folder = RunFolder.create(JOB)
    code = (
        "import sys, pathlib; from backend.run.folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).hold():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert folder.is_alive()
        process.kill()
        process.wait()
    assert not folder.is_alive()


@pytest.mark.parametrize("value", ["4611686018427387904", "1e308", "inf", "nan"])
def test_an_absurdly_large_plan_is_refused_in_a_sentence(value: str) -> None:
    """The command line refuses such a value; if it were edited into the file, the run would train for ever."""
    folder = RunFolder.create(JOB)
    folder.plan_file.write_text(re.sub(r"(?m)^alpha = .*", f"alpha = {value}", folder.plan_file.read_text()))
    with pytest.raises(UserError, match=r"alpha"):
        folder.job()


def test_a_device_of_another_kind_is_a_sentence() -> None:
    folder = RunFolder.create(replace(JOB, device="toaster"))
    with pytest.raises(UserError, match=r"device is 'toaster', and only cpu and cuda train"):
        folder.job()


@pytest.mark.parametrize("text", ["", "plan = [", "[plan]\nrank = 'many'\n"])
def test_a_damaged_plan_is_a_sentence(text: str) -> None:
    folder = RunFolder.create(JOB)
    folder.plan_file.write_text(text)
    with pytest.raises(UserError, match=r"plan\.toml can't be read"):
        folder.job()
