"""`fttui stop`, `pause` and `checkpoint`: commands to a run of any process, through its folder."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from backend.errors import UserError
from backend.launch.targets import ssh
from backend.plan import fields
from backend.run import control
from backend.run.folder import RunFolder
from tui.plain import plain


def stop(run: str | None = None) -> int:
    """Stop a run at its next step, with a checkpoint. `fttui resume` continues from there.

    Args:
        run: The run's name or a part of it; by default the latest. ssh:HOST[:RUN] for one on another box.
    """
    return _send(run, "stop", "stops at its next step, with a checkpoint")


def pause(run: str | None = None) -> int:
    """Pause a run: like stop, and listed as paused. `fttui resume` continues from there.

    Args:
        run: The run's name or a part of it; by default the latest. ssh:HOST[:RUN] for one on another box.
    """
    return _send(run, "pause", "pauses at its next step, with a checkpoint")


def checkpoint(run: str | None = None) -> int:
    """Write a checkpoint at the next step; the run continues.

    Args:
        run: The run's name or a part of it; by default the latest. ssh:HOST[:RUN] for one on another box.
    """
    return _send(run, "checkpoint", "writes a checkpoint at its next step")


def change(run: str | None = None, *, set: Annotated[tuple[str, ...], Parameter(negative=())]) -> int:
    """Change a setting of a run while it trains: from its next step on, and after a resume.

    For example:

        fttui change --set learning_rate=1e-4
        fttui change --set eval_every=50 --set max_steps=400

    Args:
        run: The run's name or a part of it; by default the latest. ssh:HOST[:RUN] for one on another box.
        set: `key=value` (repeatable): learning_rate, eval_every, save_every, max_steps, early_stopping_patience.
    """
    changed = fields.parse_settings(set)
    for key in changed:
        if key not in control.CHANGEABLE:
            can = ", ".join(control.CHANGEABLE)
            raise UserError(f"{key} can't be changed while a run trains; {can} can", key)
    if run and run.startswith(ssh.PREFIX):
        return _there(
            run, "change", *(x for key, value in changed.items() for x in ("--set", f"{key}={fields.exact(value)}"))
        )
    folder = _training(run)
    for key, value in changed.items():
        control.send_change(folder.commands_file, key, value)
    said = ", ".join(f"{key} to {fields.text(value)}" for key, value in changed.items())
    print(plain(f"run {folder.name} changes {said} at its next step", lines=False))
    return 0


def _training(run: str | None) -> RunFolder:
    """The run. Raises UserError if no process is training it now."""
    folder = RunFolder.find(run)
    if not folder.is_alive():
        raise UserError(f"run {folder.name} is not being trained now; `fttui resume {folder.name}` resumes it", "run")
    return folder


def _send(run: str | None, command: control.Command, says: str) -> int:
    if run and run.startswith(ssh.PREFIX):
        return _there(run, command)
    folder = _training(run)
    control.send(folder.commands_file, command)
    print(plain(f"run {folder.name} {says}", lines=False))
    return 0


def _there(run: str, command: str, *options: str) -> int:
    """Send the same command to the box that has the run."""
    host, name = ssh.split(run)
    return ssh.call(host, ["fttui", command, *([name] if name else []), *options])
