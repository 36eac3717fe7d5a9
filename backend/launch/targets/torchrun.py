"""A shell script that starts the ranks by torch elastic on one box, as other trainers are started."""

from __future__ import annotations

from backend.launch.targets import script
from backend.launch.targets.spec import LaunchSpec

SUFFIX = ".torchrun.sh"


def text(spec: LaunchSpec) -> str:
    """The script, to be run on the box with the GPUs."""
    home = script.quoted(spec.options.storage) if spec.options.storage else None
    lines = [
        "#!/bin/bash",
        *script.head(spec, "torchrun: bash FILE", "Model and data are read from where they are."),
        "set -eu",
        *(
            [f"export FTTUI_HOME={home}"]
            if home
            else [f'export FTTUI_HOME="${{FTTUI_HOME:-$HOME/fttui-jobs}}/{spec.name}"']
        ),
        *script.write_plan(spec),
        *script.install(spec, "$FTTUI_HOME/venv"),
        "export FTTUI_RANKS_BY=torchrun",
        f"exec {script.train(spec, None)}",
    ]
    return "\n".join(lines) + "\n"


def submit(file: str, spec: LaunchSpec) -> list[str]:
    """The client's command."""
    return ["bash", file]
