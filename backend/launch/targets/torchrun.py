"""A shell script that starts the ranks by torch elastic, on one box or on each of several."""

from __future__ import annotations

from dataclasses import replace

from backend.errors import UserError
from backend.launch.targets import script
from backend.launch.targets.spec import LaunchSpec
from backend.plan.job import Job
from backend.run import plan_file

SUFFIX = ".torchrun.sh"
CLIENT = "bash"
RESTARTS = 3
"""Attempts after the first: a rank that was killed, or memory that ran out. Each goes on from the last checkpoint."""


def text(spec: LaunchSpec) -> str:
    """The script, to be run on the box with the GPUs, or on each of several. Started again, it goes on."""
    boxes, home = spec.options.nodes, spec.options.storage
    where = [f"Run it on each of the {boxes} boxes: bash FILE HOST:PORT, with a free port of one of them."]
    where += ["FTTUI_HOME, model and data must be on storage that all of them see."]
    lines = [
        "#!/bin/bash",
        *script.head(
            spec,
            "torchrun: bash FILE",
            *(where if boxes > 1 else ["Model and data are read from where they are."]),
        ),
        "set -eu",
        *(['endpoint="${1:?give HOST:PORT of one of the boxes, such as 10.0.0.1:29400}"'] if boxes > 1 else []),
        f"export FTTUI_HOME={script.quoted(home) if home else DEFAULT_HOME}",
        *write_run(spec),
        *script.install(spec, "$FTTUI_HOME/venv"),
        *start(spec),
    ]
    return "\n".join(lines) + "\n"


DEFAULT_HOME = '"${FTTUI_HOME:-$HOME/fttui-jobs}"'


def write_run(spec: LaunchSpec) -> list[str]:
    """Lines that make the run's folder, `$run`, unless it is there: another box may be making it too."""
    return [
        f'run="$FTTUI_HOME/runs/{spec.name}"',
        'mkdir -p "$run/checkpoints"',
        'draft="$run/.plan-$(hostname)-$$"',
        f"cat > \"$draft\" <<'{script.END}'",
        *plan_file.text(_there(spec)).rstrip("\n").split("\n"),
        script.END,
        '[ -e "$run/plan.toml" ] || mv "$draft" "$run/plan.toml"',
        'rm -f "$draft"',
    ]


def start(spec: LaunchSpec, before: str = "exec") -> list[str]:
    """Lines that start the ranks of this box in `$run`; if there are several boxes, they meet at `$endpoint`."""
    found = 'python="$(dirname "$(readlink -f "$(command -v fttui)")")/python"'
    if spec.options.nodes > 1:
        counts = f"--nodes={spec.options.nodes} --per-node={spec.per_node}"
        return [found, f'{before} "$python" -m backend.launch.node "$run" {counts} --endpoint="$endpoint"']
    words = f"--standalone --nproc-per-node={spec.job.plan.processes} --max-restarts={RESTARTS}"
    return [found, f'{before} "$python" -m torch.distributed.run {words} \\', '  -m backend.launch.elastic "$run"']


def _there(spec: LaunchSpec) -> Job:
    """The job with the paths that hold on the box where it runs, and whatever GPUs that has."""
    model, data = spec.options.model_there, spec.options.data_there
    job = replace(spec.job, data=data or spec.job.data, output=None)
    return replace(job, model=model, model_folder=model, hub_id=None) if model else job


def submit(file: str, spec: LaunchSpec) -> list[str]:
    """The client's command. Raises UserError for several boxes, on each of which it has to be started."""
    if spec.options.nodes > 1:
        boxes = f"each of the {spec.options.nodes} boxes"
        raise UserError(f"submit: start {file} on {boxes}: bash FILE HOST:PORT", "submit")
    return ["bash", file]
