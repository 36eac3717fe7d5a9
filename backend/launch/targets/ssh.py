"""A shell script that starts the run on another box through OpenSSH, detached, with the fttui that is there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import PurePosixPath

from backend.errors import UserError
from backend.launch.targets import script
from backend.launch.targets.spec import PLAN, TOKENS, LaunchSpec

PREFIX = "ssh:"
SUFFIX = ".ssh.sh"
CLIENT = "ssh"
_NO_CONNECTION, _NOT_FOUND = 255, 127
"""Exit codes of ssh itself, and of a shell that finds no such command."""
_PLACES = "$HOME/.local/bin:$HOME/fttui-venv/bin"
_HOST = re.compile(
    r"([A-Za-z0-9_][A-Za-z0-9_.-]*@)?([A-Za-z0-9_][A-Za-z0-9_.%-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?\])"
)
_REFERENCE = re.compile(r"([^:\[]*(?:\[[^\]]*\])?):(.*)", re.DOTALL)
_OPTIONS = tuple(f"-o{x}" for x in ("ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=3"))
"""A connection that breaks in the middle is noticed within a minute; by default ssh waits forever."""
_FOLDER = "fttui-jobs"
"""A folder in the user's home on the other box, for plan, model and data of each launch."""


def host_of(target: str) -> str:
    """The host of `ssh:HOST`, a name or USER@NAME; an IPv6 address stands in brackets. Raises UserError for others."""
    host = target.removeprefix(PREFIX)
    if not target.startswith(PREFIX) or not _HOST.fullmatch(host):
        raise UserError(f"{target!r} is no host; give ssh:HOST, as `ssh HOST` takes it, or ssh:[ADDRESS] (IPv6)", "on")
    return host


def split(reference: str) -> tuple[str, str | None]:
    """Host and run of `ssh:HOST[:RUN]`. Raises UserError for what is neither."""
    found = _REFERENCE.fullmatch(reference.removeprefix(PREFIX))
    host, run = (found[1], found[2]) if found else (reference.removeprefix(PREFIX), None)
    if run and not re.fullmatch(r"[\w.][\w.-]*", run):
        raise UserError(f"{run!r} is no name of a run; give ssh:HOST:RUN", "run")
    return host_of(PREFIX + host), run or None


def call(host: str, words: list[str], *, terminal: bool = False) -> int:
    """Run a command of fttui on `host` with this terminal's streams; returns its exit code.

    Raises UserError if ssh is missing, the host can't be reached, or fttui is not there.
    """
    options = [*_OPTIONS, *(["-t"] if terminal else [])]
    try:
        code = subprocess.run(["ssh", *options, "--", to_ssh(host), remote(words)], check=False).returncode
    except FileNotFoundError:
        raise UserError("the command `ssh` is missing; install OpenSSH's client", "on") from None
    if code == _NO_CONNECTION:
        raise UserError(
            f"{host} could not be reached by ssh, or the connection broke; see that `ssh {host}` works", "on"
        )
    if code == _NOT_FOUND:
        raise UserError(f"fttui is not installed on {host}, or not in its PATH: pip install --user fttui there", "on")
    return code if code >= 0 else 128 - code  # ssh was killed by a signal: the exit code that a shell gives


def remote(words: list[str]) -> str:
    """A command of fttui as an argument of `ssh HOST`: safely quoted, and with pip's folders in the PATH.

    A shell that is not a login shell often lacks these folders in its PATH; and the user's may be fish or csh.
    """
    inner = f'PATH="{_PLACES}:$PATH"; export PATH; exec {script.joined(words)}'
    return f"exec sh -c {shlex.quote(inner)}"


def to_ssh(host: str) -> str:
    """The host as ssh takes it; only scp wants the brackets of an IPv6 address."""
    return host.replace("[", "").replace("]", "")


def text(spec: LaunchSpec, host: str) -> str:
    """The script, to be run on this box."""
    folder = f"{_FOLDER}/{spec.name}"
    words = ["fttui", "train", f"{folder}/{PLAN}", *spec.train_options(folder), "--detach"]
    words += ["--add-tokens", f"{folder}/{TOKENS}"] if TOKENS in spec.files else []
    lines = [
        "#!/bin/sh",
        *script.head(spec, f"{host}: sh FILE", "It needs fttui there; the run goes on when this connection ends."),
        "set -eu",
        f"host={script.quoted(to_ssh(host))}",
        *(line for name, content in spec.files.items() for line in _written(f"{folder}/{name}", content)),
        *(f'scp -r -- {script.quoted(x.local)} {script.quoted(host)}":{folder}/{x.name}"' for x in spec.uploads),
        f'ssh -- "$host" {script.quoted(remote(words))}',
    ]
    return "\n".join(lines) + "\n"


def _written(path: str, content: str) -> list[str]:
    """Lines that write a file there."""
    there = shlex.quote(f"mkdir -p {PurePosixPath(path).parent} && cat > {path}")
    return [f"ssh -- \"$host\" {there} <<'{script.END}'", *content.rstrip("\n").split("\n"), script.END]


def submit(file: str, spec: LaunchSpec) -> list[str]:
    """The client's command."""
    return ["sh", file]
