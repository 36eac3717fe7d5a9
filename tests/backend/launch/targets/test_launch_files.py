"""Launch files: their content follows from the job, and no odd name breaks out of its quotes."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend import presets
from backend.errors import UserError
from backend.launch.targets import gpus, pinned, script
from backend.launch.targets.launch_file import ENGINES, launch_file
from backend.launch.targets.spec import LaunchSpec, Options
from backend.plan.job import Job, Prediction
from backend.plan.plan import Plan
from backend.run import plan_file

PREDICTED = Prediction(1, 1, 1, hours=2.0, hours_low=1.5, hours_high=3.0, cost_usd=8.0, price_usd_per_hour=2.0)
ODD = "a b'\"$(touch INJECTED)`touch INJECTED`\n; touch INJECTED # ${{ x }} $HOME \\ : {}.jsonl"
YAML = ("skypilot", "dstack", "kubeflow")


def job(model: str = "org/model", data: str = "org/rows", gpu: str = "A100 SXM 80GB", **changes: Any) -> Job:
    plan = Plan(method="lora", processes=2)
    settings: dict[str, Any] = {"device": "cuda", "device_name": gpu, "predicted": PREDICTED} | changes
    return Job(model, model, data, plan, **settings)


def shell_of(engine: str, text: str) -> str:
    """The shell part of a launch file."""
    if engine not in YAML:
        return text
    said = yaml.safe_load(text)
    if engine == "skypilot":
        return str(said["run"])
    if engine == "dstack":
        return str(said["commands"][0])
    return str(said["spec"]["trainer"]["args"][0]).replace("$$(", "$(")


def trained(engine: str, text: str, folder: Path) -> list[str]:
    """Run the shell part with a `fttui` that records its arguments; returns them."""
    bin_ = folder / "bin"
    bin_.mkdir()
    recorder = '#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done >> "$RECORD"\n'
    passing = {"srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n', "timeout": 'shift 3\nexec "$@"\n'}
    for name, body in {"fttui": recorder, **{x: f"#!/bin/sh\n{y}" for x, y in passing.items()}}.items():
        (bin_ / name).write_text(body)
        (bin_ / name).chmod(0o755)
    shell = shell_of(engine, text).replace("/fttui-runs", str(folder / "runs"))
    env = {"PATH": f"{bin_}:/usr/bin:/bin", "HOME": str(folder), "RECORD": str(folder / "record")}
    subprocess.run(["bash", "-c", shell], cwd=folder, env=env, check=True, capture_output=True, text=True)
    assert not list(folder.rglob("INJECTED"))
    return (folder / "record").read_text().split("\0")[:-1]


@pytest.mark.parametrize("engine", [x for x in ENGINES if x != "torchrun"])
def test_no_name_gets_out_and_the_plan_arrives_whole(engine: str, tmp_path: Path) -> None:
    odd = f"/data/{ODD}" if engine == "slurm" else ODD
    wanted = job(model=odd, data=odd, mapping=(f"prompt={ODD}",))
    words = trained(engine, launch_file(wanted, engine), tmp_path)
    assert words[0] == "train" and words[2] == "--or-resume"
    said = dict(zip(words[3::2], words[4::2], strict=True))
    assert (said["--model"], said["--data"], said["--mapping"]) == (odd, odd, f"prompt={ODD}")
    assert presets.load(words[1]).plan == {**Plan(method="lora", processes=2).__dict__}


@pytest.mark.parametrize("engine", ["slurm", "skypilot"])
def test_an_adapter_and_new_tokens_go_along(engine: str, tmp_path: Path) -> None:
    tokens = ("<a>", "$(touch INJECTED) ${{ x }}\n'", "END_OF_FILE")
    text = launch_file(job(adapter="/runs/old/result", added_tokens=tokens), engine)
    words = trained(engine, text, tmp_path)
    where = {"slurm": "/runs/old/result", "skypilot": "/tmp/fttui-inputs/adapter"}[engine]
    assert words[words.index("--adapter") + 1] == where
    assert tuple(json.loads(Path(words[words.index("--add-tokens") + 1]).read_text())) == tokens
    if engine == "skypilot":
        assert yaml.safe_load(text)["file_mounts"][where] == "/runs/old/result"


@pytest.mark.parametrize(
    ("engine", "there"), [("slurm", "/mine/own.jsonl"), ("dstack", "/fttui-inputs/general_data.jsonl")]
)
def test_a_general_set_of_ones_own_goes_along(engine: str, there: str, tmp_path: Path) -> None:
    wanted = job()
    wanted = replace(wanted, plan=replace(wanted.plan, general_data="/mine/own.jsonl"))
    words = trained(engine, launch_file(wanted, engine), tmp_path)
    assert f"general_data={there}" in words
    if engine == "dstack":
        (file,) = yaml.safe_load(launch_file(wanted, engine))["files"]
        assert file == {"local_path": "/mine/own.jsonl", "path": there}
    plan = next(tmp_path.rglob("launch.toml")).read_text()
    assert 'general_data = ""' in plan
    with pytest.raises(UserError, match=r"general_data /mine/own.jsonl is on this box.*leave it empty"):
        launch_file(wanted, "kubeflow")


def test_an_adapter_that_is_merged_here_is_merged_there() -> None:
    wanted = job(adapter="/runs/old/result", adapter_is_merged=True)
    assert "--set rank=16" in " ".join(LaunchSpec(wanted).train_options(None))


def test_the_budget_of_the_plan_counts_where_none_is_said() -> None:
    planned = job(predicted=replace(PREDICTED, budget_usd=35.0))
    assert yaml.safe_load(launch_file(planned, "dstack"))["max_price"] == 10.0
    assert yaml.safe_load(launch_file(planned, "dstack", Options(budget_usd=70.0)))["max_price"] == 20.0


def test_torchrun_gets_a_run_folder(tmp_path: Path) -> None:
    wanted = job(model="/models/base", data=f"/data/{ODD}", mapping=(f"prompt={ODD}",), output="/here")
    (tmp_path / "bin").mkdir()
    for name in ("fttui", "python"):
        (tmp_path / "bin" / name).write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$HOME/record"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    text = launch_file(wanted, "torchrun", Options(model_there="/other/model"))
    subprocess.run(["bash", "-c", text], cwd=tmp_path, env=env, check=True)
    words = (tmp_path / "record").read_text().split("\0")[:-1]
    assert words[:3] == ["-m", "torch.distributed.run", "--standalone"] and "--nproc-per-node=2" in words
    assert words[-3:-1] == ["-m", "backend.launch.elastic"]
    there = replace(wanted, model="/other/model", model_folder="/other/model", output=None)
    assert plan_file.read(Path(words[-1]) / "plan.toml") == there
    assert not list(tmp_path.rglob("INJECTED"))


def on_boxes(text: str, folder: Path, *words: str) -> list[str]:
    """Run a launch file for several boxes with a Python that records its arguments; returns them."""
    (folder / "bin").mkdir(exist_ok=True)
    fake = {
        "fttui": "",
        "python": 'for word; do printf "%s\\0" "$word"; done > "$HOME/record"\n',
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n',
        "scontrol": "echo node7; echo node8\n",
    }
    for name, body in fake.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{body}")
        (folder / "bin" / name).chmod(0o755)
    env = {"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": str(folder), "SLURM_JOB_ID": "123", "SLURM_JOB_NODELIST": "x"}
    subprocess.run(["bash", "-c", text, "bash", *words], cwd=folder, env=env, check=True)
    return (folder / "record").read_text().split("\0")[:-1]


@pytest.mark.parametrize(
    ("engine", "words", "endpoint"), [("torchrun", ["10.0.0.1:29400"], "10.0.0.1:29400"), ("slurm", [], "node7:20123")]
)
def test_each_of_several_boxes_starts_its_ranks(engine: str, words: list[str], endpoint: str, tmp_path: Path) -> None:
    wanted = replace(job(model=f"/models/{ODD}", data="org/rows"), plan=Plan(method="full", processes=8))
    text = launch_file(wanted, engine, Options(nodes=2))
    started = on_boxes(text, tmp_path, *words)
    assert started[:2] == ["-m", "backend.launch.node"]
    assert started[3:] == ["--nodes=2", "--per-node=4", f"--endpoint={endpoint}"]
    folder = Path(started[2])
    assert plan_file.read(folder / "plan.toml") == replace(wanted, output=None)
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["plan.toml"]
    before = (folder / "plan.toml").stat().st_mtime_ns
    on_boxes(text, tmp_path, *words)  # the second box, or a second start
    assert (folder / "plan.toml").stat().st_mtime_ns == before
    if engine == "slurm":
        assert "#SBATCH --nodes=2" in text and "#SBATCH --gres=gpu:4" in text
    assert not list(tmp_path.rglob("INJECTED"))


def test_several_boxes_without_their_meeting_point_are_refused(tmp_path: Path) -> None:
    text = launch_file(job(), "torchrun", Options(nodes=2))
    done = subprocess.run(["bash", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode and "give HOST:PORT of one of the boxes" in done.stderr


@pytest.mark.parametrize(
    ("engine", "nodes", "said"),
    [
        ("skypilot", 2, "a launch on skypilot is for one box"),
        ("ssh:box", 2, "a launch on ssh:box is for one box"),
        ("slurm", 3, "2 processes can't be divided among 3 boxes; set processes to a multiple of 3"),
    ],
)
def test_several_boxes_that_can_t_be(engine: str, nodes: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        launch_file(job(), engine, Options(nodes=nodes))


def test_unlike_cards_are_not_rented() -> None:
    with pytest.raises(UserError, match="skypilot rents one kind of GPU at a time"):
        launch_file(job(gpu="RTX 4090 + RTX 3090"), "skypilot")


@pytest.mark.parametrize("engine", ["skypilot", "dstack"])
def test_odd_paths_are_uploaded_under_harmless_names(engine: str, tmp_path: Path) -> None:
    odd = f"/data/{ODD}"
    text = launch_file(job(model=f"{odd}-model", data=odd), engine)
    said = yaml.safe_load(text)
    words = trained(engine, text, tmp_path)
    inputs = {"skypilot": "/tmp/fttui-inputs", "dstack": "/fttui-inputs"}[engine]
    assert words[words.index("--data") + 1] == f"{inputs}/data.jsonl"
    if engine == "skypilot":
        assert said["file_mounts"][f"{inputs}/data.jsonl"] == odd
        assert f"{odd}-model" in said["file_mounts"].values()
    else:
        assert {"local_path": odd, "path": f"{inputs}/data.jsonl"} in said["files"]


def test_money_and_time_are_limits() -> None:
    budget = Options(budget_usd=35.0)
    sky = yaml.safe_load(launch_file(job(), "skypilot", budget))
    assert sky["resources"]["max_hourly_cost"] == 10.0  # 35 USD over at most 3 hours and half an hour to start
    assert sky["resources"]["accelerators"] == {"A100-80GB": 2}
    assert sky["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]
    assert "timeout --signal=TERM --kill-after=300 15300 fttui train" in sky["run"]  # 3 h x 1.25 + 0.5 h
    dstack = yaml.safe_load(launch_file(job(), "dstack", budget))
    assert (dstack["max_price"], dstack["max_duration"]) == (10.0, 15300)
    assert dstack["resources"]["gpu"] == {"name": ["A100"], "memory": "80GB", "count": 2}
    assert dstack["retry"]["on_events"] == ["no-capacity", "interruption"]
    kube = yaml.safe_load(launch_file(job(), "kubeflow", budget))
    assert kube["spec"]["activeDeadlineSeconds"] == 15300
    assert kube["spec"]["trainer"]["resourcesPerNode"]["limits"] == {"nvidia.com/gpu": 2}
    lines = launch_file(job(), "slurm", budget).splitlines()
    assert {"#SBATCH --time=0-04:15:00", "#SBATCH --requeue", "#SBATCH --signal=USR1@120"} <= set(lines)
    assert "#SBATCH --gres=gpu:2" in lines


def test_without_a_prediction_there_is_no_limit() -> None:
    plain = job(predicted=None)
    sky = yaml.safe_load(launch_file(plain, "skypilot", Options(budget_usd=5)))
    assert "max_hourly_cost" not in sky["resources"] and "timeout" not in sky["run"]
    dstack = yaml.safe_load(launch_file(plain, "dstack", Options(budget_usd=5)))
    assert "max_price" not in dstack and "max_duration" not in dstack
    assert "--time" not in launch_file(plain, "slurm")


def test_checkpoints_outlive_the_machine() -> None:
    sky = yaml.safe_load(launch_file(job(), "skypilot"))
    bucket = sky["file_mounts"]["/fttui-runs"]
    assert bucket["mode"] == "MOUNT_CACHED" and bucket["name"] == sky["name"]
    assert f'FTTUI_HOME="/fttui-runs/{sky["name"]}"' in sky["run"]
    dstack = yaml.safe_load(launch_file(job(), "dstack", Options(storage="my-volume")))
    assert dstack["volumes"] == [{"name": "my-volume", "path": "/fttui-runs"}]
    kube = yaml.safe_load(launch_file(job(), "kubeflow", Options(storage="my-claim")))
    template = kube["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]
    pod = template["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "my-claim"}
    assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/fttui-runs"
    assert "FTTUI_HOME='/shared/my runs/" in launch_file(job(), "slurm", Options(storage="/shared/my runs"))


def test_two_jobs_never_share_a_folder() -> None:
    names = {LaunchSpec(x).name for x in (job(created=1.0), job(created=2.0), job(data="org/others"))}
    assert len(names) == 3
    assert all(len(x) <= 41 and x.startswith("fttui-model-lora-") for x in names)
    assert LaunchSpec(job(created=1.0)).name == LaunchSpec(job(created=1.0)).name


def test_what_lies_here_is_refused_by_kubernetes_unless_it_is_there_too() -> None:
    with pytest.raises(UserError, match=r"data /d/rows.jsonl is on this box.*--data-there /fttui-runs/data.jsonl"):
        launch_file(job(data="/d/rows.jsonl"), "kubeflow")
    text = launch_file(job(data="/d/rows.jsonl"), "kubeflow", Options(data_there="/fttui-runs/rows.jsonl"))
    assert "--data /fttui-runs/rows.jsonl" in text


@pytest.mark.parametrize("engine", ["slurm ", "ssh:", "ssh:-oProxyCommand=x", "ssh:a b", "ssh:a;b", "aws", "ssh:a\nb"])
def test_an_unknown_engine(engine: str) -> None:
    with pytest.raises(UserError, match=r"is unknown|is no host"):
        launch_file(job(), engine)


def test_storage_with_an_invalid_name() -> None:
    with pytest.raises(UserError, match="storage 'My Bucket' is no name"):
        launch_file(job(), "skypilot", Options(storage="My Bucket"))


def test_data_that_is_not_there_yet() -> None:
    with pytest.raises(UserError, match="no data yet, only its size"):
        launch_file(job(data=""), "slurm")


def test_a_cpu_asks_for_no_gpu() -> None:
    here = job(device="cpu", gpu="CPU")
    assert "--gres" not in launch_file(here, "slurm")
    assert "accelerators" not in yaml.safe_load(launch_file(here, "skypilot"))["resources"]
    assert "resourcesPerNode" not in yaml.safe_load(launch_file(here, "kubeflow"))["spec"]["trainer"]


@pytest.mark.parametrize(
    ("gpu", "sky", "dstack"),
    [
        ("RTX 4090", "RTX4090", "RTX4090"),
        ("NVIDIA GeForce RTX 4090", "RTX4090", "RTX4090"),
        ("RTX A6000", "RTXA6000", "A6000"),
        ("H100 SXM", "H100", "H100"),
        ("RTX 4060 Ti 16GB", "RTX4060Ti", "RTX4060Ti"),
    ],
)
def test_names_of_gpus(gpu: str, sky: str, dstack: str) -> None:
    assert (gpus.name(gpu, "skypilot"), gpus.name(gpu, "dstack")) == (sky, dstack)


def test_the_environment_is_pinned_to_what_is_installed() -> None:
    import torch

    found = dict(x.split("==") for x in pinned.requirements())
    assert found["fttui"] == "0.1.0" and found["torch"] == torch.__version__.partition("+")[0]
    assert "gguf" not in found and "pytest" not in found
    assert pinned.requirements("git+https://x/y")[0] == "git+https://x/y"


def test_a_block_that_yaml_would_change_is_a_string() -> None:
    for lines in (["a", "", "  b "], [" a"], ["a\u2028b"], ["a\x85\tb\x1b"], ["# x: y", "'"], ["a\nb"]):
        text = f"run: {script.block(lines, 2)}\nname: x\n"
        assert yaml.safe_load(text) in ({"run": "\n".join(lines) + "\n", "name": "x"}, {"run": "\n".join(lines) + "\n"})


def test_ssh_uploads_and_starts_detached(tmp_path: Path) -> None:
    """A fake ssh runs what it is given with the shell of "the other box"; a fake scp copies."""
    data = tmp_path / "odd $(touch INJECTED) 'name'.jsonl"
    data.write_text("{}")
    there, bin_ = tmp_path / "there", tmp_path / "bin"
    for folder in (there, bin_):
        folder.mkdir()
    fake = {
        "ssh": '[ "$1" = -- ] && [ "$2" = me@box ] || exit 9\nshift 2\ncd "$THERE" && exec sh -c "$*"\n',
        "scp": '[ "$1 $2" = "-r --" ] || exit 9\ncp -r -- "$3" "$THERE/${4#me@box:}"\n',
        "fttui": 'printf "%s\\0" "$@" > "$THERE/record"\n',
    }
    for name, body in fake.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{body}")
        (bin_ / name).chmod(0o755)
    wanted = job(data=str(data), mapping=(f"prompt={ODD}",))
    env = {"PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(there), "THERE": str(there)}
    subprocess.run(["sh", "-c", launch_file(wanted, "ssh:me@box")], env=env, cwd=tmp_path, check=True)
    words = (there / "record").read_text().split("\0")[:-1]
    place = f"fttui-jobs/{LaunchSpec(wanted).name}"
    assert words[:2] == ["train", f"{place}/launch.toml"] and words[-1] == "--detach"
    assert words[words.index("--data") + 1] == f"{place}/data.jsonl" and (there / place / "data.jsonl").is_file()
    assert words[words.index("--mapping") + 1] == f"prompt={ODD}"
    assert presets.load(str(there / place / "launch.toml")).plan["processes"] == 2
    assert not list(tmp_path.rglob("INJECTED"))


def test_heads_stay_comments() -> None:
    text = launch_file(job(model="x\nrm -rf /"), "slurm")
    assert all(line.startswith("#") for line in text.splitlines()[:3])
    assert "\nrm -rf /" not in text.split("set -eu")[0]
