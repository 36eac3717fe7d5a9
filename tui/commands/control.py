"""`fttui stop`, `pause` and `checkpoint`: commands to a run of any process, through its folder."""

from __future__ import annotations

from backend.errors import UserError
from backend.launch.targets import ssh
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


def _send(run: str | None, command: control.Command, says: str) -> int:
    if run and run.startswith(ssh.PREFIX):
        host, name = ssh.split(run)
        return ssh.call(host, ["fttui", command, *([name] if name else [])])
    folder = RunFolder.find(run)
    if not folder.is_alive():
        raise UserError(f"run {folder.name} is not being trained now; `fttui resume {folder.name}` resumes it", "run")
    control.send(folder.commands_file, command)
    print(plain(f"run {folder.name} {says}", lines=False))
    return 0
