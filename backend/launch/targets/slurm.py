"""A batch script for Slurm: a checkpoint two minutes before the time is up, and the job goes on in its next turn."""

from __future__ import annotations

from backend.launch.targets import script, torchrun
from backend.launch.targets.spec import LaunchSpec

SUFFIX = ".sbatch"
CLIENT = "sbatch"
WARNING_SECONDS = 120
"""Before the time limit, Slurm tells the run to write a checkpoint and to end."""
_REQUEUE = (
    "# 75: the scheduler ended it (time limit, scancel --signal=TERM) with a checkpoint; a cancelled job stays so.",
    'if [ "$code" = 75 ] && [ "$(squeue -h -j "$SLURM_JOB_ID" -o %T)" = RUNNING ]; then',
    '  scontrol requeue "$SLURM_JOB_ID" && sleep 60',
    "fi",
    'exit "$code"',
)


def text(spec: LaunchSpec) -> str:
    """The script. Model and data are read from where they are: their paths must hold on the node too."""
    shared = f"{spec.options.storage}/{spec.name}" if spec.options.storage else None
    home = script.quoted(shared) if shared else f'"${{FTTUI_JOBS:-$HOME/fttui-jobs}}/{spec.name}"'
    lines = [
        "#!/bin/bash",
        *script.head(spec, "Slurm: sbatch FILE", "FTTUI_HOME, and local paths, must be on storage that the node sees."),
        *(f"#SBATCH {option}" for option in _options(spec)),
        "",
        "set -eu",
        f"export FTTUI_HOME={home}",
        *(_on_several(spec) if spec.options.nodes > 1 else _on_one(spec)),
        *_REQUEUE,
    ]
    return "\n".join(lines) + "\n"


_SRUN = 'srun --ntasks-per-node=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}"'


def _on_one(spec: LaunchSpec) -> list[str]:
    return [
        *script.write_files(spec),
        *script.install(spec, "$FTTUI_HOME/venv"),
        "code=0",
        f"{_SRUN} --ntasks=1 {script.train(spec, None)} || code=$?",
    ]


def _on_several(spec: LaunchSpec) -> list[str]:
    """The ranks of each node are started by torch elastic, and meet at the first one."""
    *before, last = torchrun.start(spec, before=f"code=0; {_SRUN}")
    return [
        *torchrun.write_run(spec),
        *script.install(spec, "$FTTUI_HOME/venv"),
        'first="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
        'endpoint="$first:$((20000 + SLURM_JOB_ID % 20000))"',
        *before,
        f"{last} || code=$?",
    ]


def _options(spec: LaunchSpec) -> list[str]:
    boxes = spec.options.nodes
    options = [f"--job-name={spec.name}", f"--nodes={boxes}", f"--ntasks={boxes}"]
    if spec.gpus:
        options += [f"--gres=gpu:{spec.per_node}", f"--cpus-per-task={4 * spec.per_node}"]
    if spec.seconds:
        hours, rest = divmod(spec.seconds, 3600)
        options.append(f"--time={hours // 24}-{hours % 24:02}:{rest // 60:02}:00")
    return [
        *options,
        f"--signal=USR1@{WARNING_SECONDS}",
        "--requeue",
        "--open-mode=append",
        f"--output={spec.name}-%j.log",
    ]


def submit(file: str, spec: LaunchSpec) -> list[str]:
    """The client's command."""
    return ["sbatch", file]
