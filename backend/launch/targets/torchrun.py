"""A shell script that starts the ranks by torch elastic on one box, as other trainers are started."""

from __future__ import annotations

from dataclasses import replace

from backend.launch.targets import script
from backend.launch.targets.spec import LaunchSpec
from backend.plan.job import Job
from backend.run import plan_file

SUFFIX = ".torchrun.sh"
CLIENT = "bash"
RESTARTS = 3
"""Attempts after the first: a rank that was killed, or memory that ran out. Each goes on from the last checkpoint."""


def text(spec: LaunchSpec) -> str:
    """The script, to be run on the box with the GPUs. Started again, it goes on."""
    home = script.quoted(spec.options.storage) if spec.options.storage else '"${FTTUI_HOME:-$HOME/fttui-jobs}"'
    count = spec.job.plan.processes
    lines = [
        "#!/bin/bash",
        *script.head(spec, "torchrun: bash FILE", "Model and data are read from where they are."),
        "set -eu",
        f"export FTTUI_HOME={home}",
        f'run="$FTTUI_HOME/runs/{spec.name}"',
        'mkdir -p "$run/checkpoints"',
        f'[ -e "$run/plan.toml" ] || cat > "$run/plan.toml" <<\'{script.END}\'',
        *plan_file.text(_there(spec)).rstrip("\n").split("\n"),
        script.END,
        *script.install(spec, "$FTTUI_HOME/venv"),
        'python="$(dirname "$(readlink -f "$(command -v fttui)")")/python"',
        f'exec "$python" -m torch.distributed.run --standalone --nproc-per-node={count} --max-restarts={RESTARTS} \\',
        '  -m backend.launch.elastic "$run"',
    ]
    return "\n".join(lines) + "\n"


def _there(spec: LaunchSpec) -> Job:
    """The job with the paths that hold on the box where it runs, and whatever GPUs that has."""
    model, data = spec.options.model_there, spec.options.data_there
    job = replace(spec.job, data=data or spec.job.data, output=None)
    return replace(job, model=model, model_folder=model, hub_id=None) if model else job


def submit(file: str, spec: LaunchSpec) -> list[str]:
    """The client's command."""
    return ["bash", file]
