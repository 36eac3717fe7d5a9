"""The file that an engine takes for a job: one text, whatever the engine."""

from __future__ import annotations

from types import ModuleType

from backend.errors import UserError
from backend.launch.targets import dstack, kubeflow, skypilot, slurm, ssh, torchrun
from backend.launch.targets.spec import LaunchSpec, Options, refuse
from backend.plan.job import Job

ENGINES: dict[str, ModuleType] = {
    "slurm": slurm,
    "skypilot": skypilot,
    "dstack": dstack,
    "kubeflow": kubeflow,
    "torchrun": torchrun,
}

SEVERAL_BOXES = ("torchrun", "slurm")


def launch_file(job: Job, engine: str, options: Options | None = None) -> str:
    """What `engine` takes (a key of `ENGINES`, or `ssh:HOST`) to train `job`.

    Raises UserError for an engine that is unknown, and for a job that it can't be given.
    """
    refuse(job)
    spec = LaunchSpec(job, options or Options())
    if spec.options.nodes > 1 and engine not in SEVERAL_BOXES:
        fix = f"take {' or '.join(SEVERAL_BOXES)} for several, or one box with more GPUs"
        raise UserError(f"nodes: a launch on {engine} is for one box in this version; {fix}", "nodes")
    module = module_of(engine)
    if module is ssh:
        _refuse_what_ssh_lacks(spec.options)
    text: str = ssh.text(spec, ssh.host_of(engine)) if module is ssh else module.text(spec)
    return text


def _refuse_what_ssh_lacks(options: Options) -> None:
    if options.storage is not None:
        raise UserError("storage: a run by ssh is kept in the FTTUI_HOME of its box; leave out --storage", "storage")
    if options.package is not None:
        raise UserError(
            "package: a run by ssh takes the fttui of its box; install it there, without --package", "package"
        )


def module_of(engine: str) -> ModuleType:
    """The module of an engine. Raises UserError if it is unknown."""
    if engine.startswith(ssh.PREFIX):
        ssh.host_of(engine)
        return ssh
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r} is unknown; take ssh:HOST, {', '.join(ENGINES)}", "on")
    return ENGINES[engine]
