"""One box of a run over several: `python -m backend.launch.node FOLDER --nodes 2 --per-node 8 --endpoint HOST:PORT`.

Start it on each box with the same arguments, in any order. torch elastic lets the boxes meet at the endpoint, a
port of one of them, and starts the ranks (backend/launch/elastic.py). FOLDER is on storage that all boxes see. If a
rank or the connection is lost, the boxes meet again and go on from the last checkpoint.

Loads no torch itself. The exit codes are those of `fttui train --or-resume`.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

from backend import signals
from backend.errors import STOPPED_BY_SIGNAL, TRAINING_FAILED, UserError, exit_code, wont_do
from backend.launch import several
from backend.launch.elastic import SINCE
from backend.launch.several import RankOutcome
from backend.run import control
from backend.run.event_log import EventTail
from backend.run.events import RunFinished, StepDone
from backend.run.folder import RunFolder

LOST = "a rank or another box was lost; the boxes meet again, and go on from the last checkpoint"
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
PATIENCE_SECONDS = 900.0
"""After so long without a new step or a new end of an attempt, the run is given up."""
MEETING = "join_timeout=120,read_timeout=120"
"""Seconds: how long a box waits at the endpoint for the others, or for the one that has it, before it tries again."""
PAUSE_SECONDS = 2.0
"""Before the boxes meet again."""
POLL_SECONDS = 0.2
FAREWELL_SECONDS = 20.0
"""Limit on telling the other boxes that the ranks have ended: without a link elastic tries as long as the kernel."""
SHUTDOWN_SECONDS = 15
"""If a rank has died, elastic gives the others of its box so long to find out before it kills them."""


def main() -> None:
    """Train as one box of the run; wrong input is reported in one sentence."""
    try:
        sys.exit(_run(_options()))
    except UserError as error:
        print(f"fttui: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _run(options: argparse.Namespace) -> int:
    folder = RunFolder(options.folder)
    told: list[int] = []
    _refuse_other_count(folder, options)
    here = address_towards(*endpoint(options.endpoint))
    _refuse_taken(options, here)
    words, variables = command(options, here), environment(here, os.environ)

    def stop(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        with suppress(OSError):  # a full disk, or a folder that is gone: the ranks see that themselves
            control.send(folder.commands_file, "stop")

    for number in signals.FROM_OUTSIDE:
        signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else stop)
    since = time.monotonic()
    while True:
        begins = several.size(folder.events_file)
        _attempt(folder, words, variables, told)
        made = list(EventTail(folder.events_file, begins).events())
        ends = [event.state for event in made if isinstance(event, RunFinished)] or ["stopped"] * bool(told)
        if ends:
            return STOPPED_BY_SIGNAL if told and ends[-1] == "stopped" else exit_code(ends[-1])
        if any(isinstance(event, StepDone) for event in made):
            since = time.monotonic()
        if time.monotonic() - since > PATIENCE_SECONDS:
            return _give_up(folder)
        print(f"fttui: {LOST}", flush=True)
        time.sleep(PAUSE_SECONDS)


def _attempt(folder: RunFolder, words: Sequence[str], variables: Mapping[str, str], told: Sequence[int]) -> None:
    """Meet the other boxes and train until the ranks of this one have ended, well or not.

    Signals are not for elastic, which would kill the ranks soon: this process passes them on as a command.
    """
    since = several.size(folder.commands_file)
    with signals.blocked():
        process = subprocess.Popen(words, env={**variables, SINCE: str(since)}, stdin=subprocess.DEVNULL)
    trained = None
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        ranks = psutil.Process(process.pid).children()
        trained = time.monotonic() if ranks else trained
        nobody_obeys = told and not folder.is_alive()  # the boxes have not met
        if nobody_obeys or (trained and time.monotonic() - trained > FAREWELL_SECONDS):
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    for one in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            one.kill()
    process.kill()


def _give_up(folder: RunFolder) -> int:
    minutes = round(PATIENCE_SECONDS / 60)
    text = f"no step was made for {minutes} minutes: the boxes do not meet, or a rank dies; trainer.log may say why"
    with suppress(UserError, OSError), folder.hold():
        several.tell(folder, folder.job(), RankOutcome(text))
    print(f"fttui: {text}", file=sys.stderr)
    return TRAINING_FAILED


def is_host(options: argparse.Namespace, here: str) -> bool:
    """The endpoint is a port of this box."""
    return socket.gethostbyname(endpoint(options.endpoint)[0]) == here


def _refuse_taken(options: argparse.Namespace, here: str) -> None:
    """Raise UserError if another program has the port: the boxes would try to meet there for a long time."""
    if not is_host(options, here):
        return
    _, port = endpoint(options.endpoint)
    try:
        socket.create_server((here, port)).close()
    except OSError as error:
        what = f"port {port} of this box can't be had ({os.strerror(error.errno or 0)})"
        raise UserError(f"endpoint: {what}; take another port", "endpoint") from None


def _refuse_other_count(folder: RunFolder, options: argparse.Namespace) -> None:
    planned, there = folder.job().plan.processes, options.nodes * options.per_node
    if planned != there:
        fix = f"give --nodes and --per-node that make {planned} together"
        raise UserError(
            f"the plan is for {planned} processes, and {options.nodes} x {options.per_node} are started; {fix}"
        )


def endpoint(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`. Raises UserError for what is neither."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise wont_do("endpoint", text, "HOST:PORT of one of the boxes, such as 10.0.0.1:29400")
    return host.strip("[]"), int(port)


def address_towards(host: str, port: int) -> str:
    """This box's own address on the way to a host: names of boxes often stand for 127.0.0.1.

    Raises UserError if there is no way.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect(address)  # sends nothing
            return str(one.getsockname()[0])
    except OSError as error:
        raise UserError(
            f"endpoint: {host} can't be reached ({error.strerror or error}); give an address of one of the boxes",
            "endpoint",
        ) from None


def interface(address: str) -> str | None:
    """The network interface that has this address."""
    known = psutil.net_if_addrs().items()
    return next(
        (name for name, addresses in known if any(x.address.partition("%")[0] == address for x in addresses)), None
    )


def environment(here: str, before: Mapping[str, str]) -> dict[str, str]:
    """Variables that make the ranks use the interface towards the other boxes, unless the user names another."""
    found = dict(before)
    if name := interface(here):
        for variable in INTERFACES:
            found.setdefault(variable, name)
    found.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_SECONDS))
    return found


def command(options: argparse.Namespace, here: str) -> list[str]:
    """Torch elastic's launcher. It restarts nothing itself: boxes with different counts would wait for each other."""
    host, port = endpoint(options.endpoint)
    settings = {
        "nnodes": str(options.nodes),
        "nproc-per-node": str(options.per_node),
        "rdzv-backend": "c10d",
        "rdzv-id": options.folder.name,
        "rdzv-endpoint": f"{host}:{port}",
        "rdzv-conf": f"is_host={int(is_host(options, here))},{MEETING}",
        "local-addr": here,
        "max-restarts": "0",
    }
    words = [f"--{key}={value}" for key, value in settings.items()]
    return [sys.executable, "-m", "torch.distributed.run", *words, "-m", "backend.launch.elastic", str(options.folder)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m backend.launch.node", description="One box of a run over several.")
    parser.add_argument("folder", type=Path, help="the run's folder, on storage that all boxes see")
    parser.add_argument("--nodes", type=int, required=True, help="how many boxes there are")
    parser.add_argument("--per-node", type=int, required=True, help="processes on each, one for each GPU")
    parser.add_argument("--endpoint", required=True, help="HOST:PORT at which they meet: a free port of one of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
