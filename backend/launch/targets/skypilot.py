"""A task for SkyPilot's managed jobs: another machine is found and the run goes on if one is taken away."""

from __future__ import annotations

from backend import yaml_text
from backend.launch.targets import gpus, script
from backend.launch.targets.spec import LaunchSpec

SUFFIX = ".sky.yaml"
CLIENT = "sky"
_RUNS, _INPUTS = "/fttui-runs", "/tmp/fttui-inputs"
EXIT_TO_GO_ON = 75
"""fttui's exit code after a signal from outside, with a checkpoint."""


def text(spec: LaunchSpec) -> str:
    """The task file."""
    # a cached mount: the run appends to its files, which a bucket alone can't
    bucket = {"name": _bucket(spec), "mode": "MOUNT_CACHED"}
    mounts = {_RUNS: bucket, **{f"{_INPUTS}/{x.name}": x.local for x in spec.uploads}}
    setup = script.install(spec, "$HOME/fttui-venv")
    lines = [
        *script.head(spec, "SkyPilot: sky jobs launch FILE", *_notes(spec)),
        f"name: {yaml_text.value(spec.name)}",
        f"resources: {yaml_text.value(_resources(spec))}",
        f"file_mounts: {yaml_text.value(mounts)}",
        f"setup: {script.block(setup, 2)}",
        f"run: {script.block(_run(spec), 2)}",
    ]
    return "\n".join(lines) + "\n"


def _resources(spec: LaunchSpec) -> dict[str, object]:
    """What is rented. Errors of the run itself are not tried again: they would cost the same once more."""
    found: dict[str, object] = {}
    if spec.gpus:
        found["accelerators"] = {gpus.name(spec.job.device_name, "skypilot"): spec.gpus}
    if spec.hourly_usd:
        found["max_hourly_cost"] = spec.hourly_usd
    return {**found, "job_recovery": {"max_restarts_on_errors": 0, "recover_on_exit_codes": [EXIT_TO_GO_ON]}}


def _run(spec: LaunchSpec) -> list[str]:
    limit = f"timeout --signal=TERM --kill-after=300 {spec.seconds} " if spec.seconds else ""
    return [
        "set -eu",
        'export PATH="$HOME/fttui-venv/bin:$PATH"',
        f'export FTTUI_HOME="{_RUNS}/{spec.name}"',
        *script.write_files(spec),
        limit + script.train(spec, _INPUTS),
    ]


def _notes(spec: LaunchSpec) -> list[str]:
    notes = ["Checkpoints and the result are in the bucket below, which stays when the machine is gone."]
    if spec.seconds:
        notes.append(f"After {spec.seconds // 60} minutes it is ended with a checkpoint (exit code 124).")
    return notes


def _bucket(spec: LaunchSpec) -> str:
    """Buckets of all users share their names: the default is the job's own."""
    return spec.storage if spec.options.storage else spec.name


def submit(file: str, spec: LaunchSpec) -> list[str]:
    """The client's command."""
    return ["sky", "jobs", "launch", "--yes", "--detach-run", "--name", spec.name, file]
