"""Two ranks on this CPU: one killed, one stopped, all signalled. What the user saw, after how long, and what is left.

    python -m tests.bench.signals

Each case is `fttui train --set processes=2` on a tiny model in a process group of its own. Exit status 1 if a process
is left behind, or if a signalled run left no checkpoint.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from backend.run.folder import RunFolder, all_runs
from backend.training.saving import checkpoint
from tests import events_on_disk
from tests.backend.training.helpers import new_run
from tests.bench import made
from tests.tiny import make_model

ROOT = Path(__file__).resolve().parents[2]
Case = Callable[[subprocess.Popen[bytes], list[psutil.Process]], None]


def main() -> None:
    """Print a table."""
    print("| case | said | seconds until said | exit code | seconds until gone | left | step of the checkpoint |")
    print("|---|---|--:|--:|--:|--:|--:|")
    good = [
        _case("a rank killed (SIGKILL)", lambda _, ranks: ranks[1].kill(), "died|killed"),
        _case("a rank stopped (SIGSTOP)", lambda _, ranks: ranks[1].suspend(), "stopped"),
        _case("all signalled (SIGTERM)", _all(signal.SIGTERM), "", stops=True),
        _case("all signalled (SIGUSR1)", _all(signal.SIGUSR1), "", stops=True),
        _case("Ctrl+C", _all(signal.SIGINT), "", stops=True),
        _case("fttui killed (SIGKILL)", lambda process, _: process.kill(), ""),
    ]
    sys.exit(not all([*good, _port_in_use()]))


def _all(number: int) -> Case:
    def send(process: subprocess.Popen[bytes], ranks: list[psutil.Process]) -> None:
        for one in (psutil.Process(process.pid), *ranks):
            one.send_signal(number)

    return send


def _case(label: str, hurt: Case, wanted: str, *, stops: bool = False) -> bool:
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        process, folder = _started(Path(home))
        everybody = psutil.Process(process.pid).children(recursive=True)
        ranks = sorted(
            (x for x in everybody if "backend.launch.rank" in x.cmdline()), key=lambda x: int(x.cmdline()[4])
        )
        began = time.monotonic()
        hurt(process, ranks)
        said, after = _said(folder, wanted.split("|")) if wanted else ("", 0.0)
        if "suspend" in label or "stopped" in label:
            ranks[1].resume()
            _all(signal.SIGTERM)(process, ranks)
        code = process.wait(60)
        _, left = psutil.wait_procs(everybody, timeout=30)
        gone = time.monotonic() - began
        found, _ = checkpoint.newest(folder.checkpoints)
        step = found.manifest.step if found else 0
        for one in left:
            one.kill()
        print(f"| {label} | {said} | {after:.1f} | {code} | {gone:.1f} | {len(left)} | {step} |", flush=True)
        return not left and (bool(step) or not stops)


def _port_in_use() -> bool:
    """One box of several, whose rendezvous port is used by another program."""
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0)) as other:
        os.environ["FTTUI_HOME"] = home
        folder = new_run(make_model(Path(home) / "model"), made.rows(Path(home) / "rows.jsonl", 40), processes=2)
        words = ["--nodes", "2", "--per-node", "1", "--endpoint", f"127.0.0.1:{other.getsockname()[1]}"]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "backend.launch.node", str(folder.path), *words],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        _, said = process.communicate(timeout=60)
        left = [x for x in psutil.process_iter(["cmdline"]) if str(folder.path) in (x.info["cmdline"] or ())]
        after, code = time.monotonic() - began, process.returncode
        print(f"| a port in use | {said.strip()} | {after:.1f} | {code} | {after:.1f} | {len(left)} | - |", flush=True)
        return code == 2 and not left


def _started(home: Path) -> tuple[subprocess.Popen[bytes], RunFolder]:
    model, rows = make_model(home / "model"), made.rows(home / "rows.jsonl", 40)
    words = ["--model", str(model), "--data", str(rows), "--method", "lora", "--epochs", "5000", "--anyway"]
    words += [
        x for key in ("processes=2", "max_steps=9000", "save_every=8000", "eval_fraction=0") for x in ("--set", key)
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "tui", "train", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (runs := all_runs()) or not events_on_disk.read(runs[0].events_file, "step"):
        assert process.poll() is None, "it ended before its first step"
        time.sleep(0.1)
    return process, runs[0]


def _said(folder: RunFolder, words: list[str]) -> tuple[str, float]:
    """The first sentence with one of the words in it, and how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < 60:
        for event in events_on_disk.read(folder.events_file, "log"):
            if any(word in event["text"] for word in words):
                return event["text"], time.monotonic() - began
        time.sleep(0.1)
    return "NOTHING", time.monotonic() - began


if __name__ == "__main__":
    main()
