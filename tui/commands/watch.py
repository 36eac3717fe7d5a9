"""`fttui watch`: the live screen of a run of any process, or its plain lines."""

from __future__ import annotations

import sys
import time
from typing import Annotated

from cyclopts import Parameter

from backend import units
from backend.launch.queue import waiting
from backend.launch.targets import ssh
from backend.run.event_log import EventTail
from backend.run.folder import RunFolder
from backend.run.history import History, read
from tui.plain import plain

Flag = Annotated[bool, Parameter(negative=())]


def watch(run: str | None = None, *, plain: Flag = False, once: Flag = False, ascii: Flag = False) -> int:
    """Show a run: live while it trains, its result afterwards. The trainer never waits for who watches.

    For example:

        fttui watch
        fttui watch ssh:box
        fttui watch --once

    Args:
        run: The run's name or a part of it; by default the latest. ssh:HOST or ssh:HOST:RUN for one on another box.
        plain: Print plain lines, for pipes.
        once: Print one line with the state and exit.
        ascii: Draw with ASCII characters only.
    """
    if run and run.startswith(ssh.PREFIX):
        flags = {"--plain": plain, "--once": once, "--ascii": ascii}
        return _elsewhere(run, [flag for flag, given in flags.items() if given])
    folder = RunFolder.find(run)
    if once:
        print(status(folder, read(folder.events_file)))
        return 0
    if plain:
        from tui.headless import follow

        follow(EventTail(folder.events_file), print, as_json=False, alive=folder.is_alive)
        if (found := read(folder.events_file)).state == "running":  # no event says how it ended
            print(status(folder, found))
        return 0
    from tui.process import run_wizard

    return run_wizard(start_at="live", run=folder, ascii=ascii or None)


def _elsewhere(run: str, flags: list[str]) -> int:
    """The screen of the fttui there, through ssh."""
    host, name = ssh.split(run)
    words = ["fttui", "watch", *([name] if name else []), *flags]
    return ssh.call(host, words, terminal=sys.stdout.isatty())


def status(folder: RunFolder, history: History) -> str:
    """One line: name, state, step, loss, time left."""
    state = waiting.state_of(folder, history)
    state = history.phase if state == "running" else state
    parts = [folder.name, state, f"step {history.step:,}/{history.total_steps:,}"]
    if history.losses:
        parts.append(f"loss {history.losses[-1]:.4f}")
    if history.state == "running" and folder.is_alive() and history.eta_seconds is not None:
        end = time.strftime("%H:%M", time.localtime(time.time() + history.eta_seconds))
        parts.append(f"{units.duration(history.eta_seconds)} left, until {end}")
    return plain("  ".join(parts), lines=False)
