"""A task for dstack: retried if a machine is taken away, with checkpoints on a volume."""

from __future__ import annotations

from backend import yaml_text
from backend.launch.targets import gpus, script
from backend.launch.targets.spec import LaunchSpec

SUFFIX = ".dstack.yml"
CLIENT = "dstack"
_RUNS, _INPUTS = "/fttui-runs", "/fttui-inputs"


def text(spec: LaunchSpec) -> str:
    """The configuration."""
    settings: dict[str, object] = {
        "type": "task",
        "name": spec.name,
        "python": "3.12",
        "files": [{"local_path": x.local, "path": f"{_INPUTS}/{x.name}"} for x in spec.uploads] or None,
        "volumes": [{"name": spec.storage, "path": _RUNS}],
        "resources": _resources(spec),
        "max_price": spec.hourly_usd,
        "max_duration": spec.seconds,
        "stop_duration": 300,
        "retry": {"on_events": ["no-capacity", "interruption"], "duration": "1d"},
    }
    note = f"The volume {spec.storage} must be there: checkpoints and the result outlive the machine on it."
    lines = [*script.head(spec, "dstack: dstack apply -f FILE", note)]
    lines += [f"{key}: {yaml_text.value(x)}" for key, x in settings.items() if x is not None]
    return "\n".join([*lines, "commands:", f"  - {script.block(_commands(spec), 4)}"]) + "\n"


def _resources(spec: LaunchSpec) -> dict[str, object] | None:
    if not spec.gpus:
        return {"gpu": 0}
    memory = gpus.memory_gb(spec.job.device_name)
    size = {"memory": f"{memory}GB"} if memory else {}
    return {"gpu": {"name": [gpus.name(spec.job.device_name, "dstack")], **size, "count": spec.gpus}}


def _commands(spec: LaunchSpec) -> list[str]:
    return [
        "set -eu",
        f'export FTTUI_HOME="{_RUNS}/{spec.name}"',
        *script.write_files(spec),
        *script.install(spec, "$HOME/fttui-venv"),
        f"exec {script.train(spec, _INPUTS)}",
    ]


def submit(file: str, spec: LaunchSpec) -> list[str]:
    """The client's command."""
    return ["dstack", "apply", "--yes", "--detach", "--file", file]
