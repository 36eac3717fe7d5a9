"""The user's own command at the end of a run, which gets the result as JSON on standard input."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess

import msgspec

from backend import kept_names
from backend.run.event_log import EventLog
from backend.run.events import Logged
from backend.run.folder import RunFolder
from backend.run.summary import summarise

SECONDS = 300.0
"""A command that takes longer is killed: the process of the run waits for it."""


def call(command: str, folder: RunFolder, seconds: float = SECONDS) -> None:
    """Run `command` in a shell, its output in the run's log. A failure is a warning in the events, nothing more."""
    trouble = _trouble(command, folder, seconds)
    if trouble:
        log = EventLog(folder.events_file)
        log.write(Logged(level="warning", text=f"on_finish {trouble}: {command}"))
        log.close()


def payload(folder: RunFolder) -> bytes:
    """One JSON object: the figures of `fttui runs --json`, and the paths of the run and its result."""
    figures = kept_names.outside(dataclasses.asdict(summarise(folder)))
    paths = {"path": str(folder.path), "result": str(folder.result) if folder.result.is_dir() else None}
    return msgspec.json.encode({**figures, **paths})


def _trouble(command: str, folder: RunFolder, seconds: float) -> str:
    """Run it; returns what went wrong in a few words, or an empty string."""
    environment = {**os.environ, "FTTUI_RUN": folder.name}
    with folder.log_file.open("ab") as log:
        shell = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    try:
        shell.communicate(payload(folder), timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)  # what the shell has started, too
        shell.wait()
        return f"was ended after {seconds:g} s"
    return f"ended with code {shell.returncode}" if shell.returncode else ""
