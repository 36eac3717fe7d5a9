"""Hand a launch file over through the engine's own client."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from backend import atomic, paths
from backend.errors import STOPPED, STOPPED_BY_SIGNAL, TRAINING_FAILED, DoesNotFit, UserError
from backend.launch.targets import script
from backend.launch.targets.launch_file import module_of
from backend.launch.targets.spec import LaunchSpec

OURS = (0, UserError.exit_code, DoesNotFit.exit_code, TRAINING_FAILED, STOPPED, STOPPED_BY_SIGNAL)
"""Exit codes of `fttui` itself, which a client may pass on."""
_HEAD_BYTES = 20_000
"""The first comment of a launch file names model and data, and then who planned it."""


def save(text: str, engine: str, spec: LaunchSpec, out: Path | None) -> Path:
    """Write the launch file to `out`, or among this box's launches, and return its path.

    Raises UserError if it can't be written.
    """
    module = module_of(engine)
    target = paths.expanded(out).absolute() if out else paths.home() / "launches" / f"{spec.name}{module.SUFFIX}"
    try:
        _refuse_what_is_not_ours(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(target, text, through_link=True)
    except OSError as error:
        raise UserError(f"{target} can't be written: {error.strerror or error}", "out") from None
    return target


def _refuse_what_is_not_ours(target: Path) -> None:
    """Raise UserError for a folder, a device, or a file other than a launch file: writing would destroy it."""
    if target.is_dir():
        raise UserError(f"{target} is a folder; name a file in it with --out", "out")
    if target.exists() and not target.is_file():
        raise UserError(f"{target} is no regular file; name one with --out, or leave it out to print the text", "out")
    if target.is_file():
        with target.open("rb") as file:
            begins = file.read(_HEAD_BYTES)
        if begins and script.PLANNED_BY.encode() not in begins:
            raise UserError(f"{target} is there already and is no launch file; name another file with --out", "out")


def refuse_missing_client(engine: str) -> None:
    """Raise UserError if the engine's client is not installed here."""
    client = module_of(engine).CLIENT
    if shutil.which(client) is None:
        fix = "install it, or write the file with --out FILE and submit it on a machine that has it"
        raise UserError(
            f"--submit to {engine} needs its client `{client}`, which is not installed here; {fix}", "submit"
        )


def submit(file: Path, engine: str, spec: LaunchSpec) -> int:
    """Run the client with the terminal's own streams; returns its exit code if that is one of ours.

    Raises UserError for another one: the client's own message stands above it.
    """
    module = module_of(engine)
    code = subprocess.run(module.submit(str(file), spec), check=False).returncode
    if engine == "torchrun":  # it has trained: elastic's own code says only that a rank failed
        return code if code in OURS else TRAINING_FAILED
    if code not in OURS:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}; its own message is above"
        raise UserError(f"the job was not handed over: `{module.CLIENT}` {how}; the file stays in {file}", "submit")
    return code
