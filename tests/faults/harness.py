"""Runs are killed, run out of disk and damaged: what survives, what is lost, what ends silently. `make faults`.

    python -m tests.faults.harness [--kills 200] [--rank-kills 60] [--seed 0] [PART ...]

Parts: time, phase, operation, ranks, signals, disk, damage. Prints a table as Markdown; the exit code is 1 if anything
was lost or silent. A run is lost if, after resuming it to its end, its losses, evaluations or last weights are not bit
for bit those of an undisturbed run; an end is silent if neither the events, nor `fttui runs`, nor the terminal say it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from backend.answers import METHODS, Method
from backend.run.folder import RunFolder
from backend.run.summary import summarise
from tests.faults import forked_ranks, lives
from tests.faults.subject import Subject

PHASES = ("data", "load", "eval", "train", "sample", "checkpoint", "save")
ROUND_ROBIN = (*METHODS,)
KILLS_A_RUN = 4
DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut off": lambda content, draw: content[: draw.randrange(len(content) + 1)],
    "a bit flipped": lambda content, draw: _flipped(content, draw),
    "binary": lambda content, draw: draw.randbytes(max(1, len(content))),
    "nested": lambda content, draw: b"[" * 50_000,
    "empty": lambda content, draw: b"",
}
COMMANDS = (
    "runs",
    "runs --json",
    "watch {run} --once",
    "doctor --run {run}",
    "plan --model 8b --gpu 4090 --rows 100 --row-tokens 100",
)


class Row(NamedTuple):
    """A kind of fault."""

    fault: str
    tried: int
    survived: int
    lost: int
    silent: int


class Bench(Subject):
    """What all parts need."""

    def __init__(self, home: Path, kills: int, rank_kills: int, seed: int) -> None:
        super().__init__(home)
        self.kills, self.rank_kills, self.draw = kills, rank_kills, random.Random(seed)


def by_time(bench: Bench) -> Row:
    return _kills(bench, "kill -9 at a random time", bench.kills // 3, lambda folder: _kill_by_time(bench, folder))


def by_phase(bench: Bench) -> Row:
    def kill(folder: RunFolder) -> int:
        return lives.attempt(folder, meanwhile=lives.in_phase(folder, bench.draw.choice(PHASES)))

    return _kills(bench, "kill -9 as a phase begins", bench.kills // 3, kill)


def by_operation(bench: Bench) -> Row:
    """Kill at each file operation in turn, from the first on."""
    number = iter(range(10**6))

    def kill(folder: RunFolder) -> int:
        return lives.attempt(folder, lives.before_operation(folder, next(number)))

    return _kills(bench, "kill -9 before a file operation", bench.kills - 2 * (bench.kills // 3), kill)


def _kill_by_time(bench: Bench, folder: RunFolder) -> int:
    return lives.attempt(folder, meanwhile=lives.after_seconds(bench.draw.uniform(0, 4)))


def _kills(bench: Bench, fault: str, count: int, kill: Callable[[RunFolder], int]) -> Row:
    """`count` kills that hit, two a run, each method in turn."""
    tried = survived = 0
    methods = _in_turn()
    while tried < count:
        method = next(methods)
        bench.undisturbed(method)
        folder = bench.new(method)
        hits = sum(os.WIFSIGNALED(kill(folder)) for _ in range(2))
        tried += hits
        survived += hits if bench.survives(folder, method) else 0
    return Row(fault, tried, survived, tried - survived, 0)


def _in_turn() -> Iterator[Method]:
    while True:
        yield from ROUND_ROBIN


def ranks(bench: Bench) -> Row:
    """Kill one of two ranks, or the process that started them, at a random time; several kills per run."""
    tried = survived = 0
    began = time.monotonic()
    bench.undisturbed("lora", 2)
    longest = time.monotonic() - began
    while tried < bench.rank_kills:
        folder = bench.new("lora", 2)
        kills = [_kill_one_of(bench, folder, longest) for _ in range(min(KILLS_A_RUN, bench.rank_kills - tried))]
        tried += sum(kills)
        survived += sum(kills) if bench.survives(folder, "lora", 2) else 0
    return Row("kill -9 of a rank, or of their parent", tried, survived, tried - survived, 0)


def _kill_one_of(bench: Bench, folder: RunFolder, longest: float) -> bool:
    """False if the run was over before."""

    def meanwhile(child: int) -> None:
        lives.after_seconds(bench.draw.uniform(0, longest), 0)(child)
        os.kill(bench.draw.choice([*lives.descendants(child), child]), signal.SIGKILL)

    return os.waitstatus_to_exitcode(lives.attempt(folder, meanwhile=meanwhile)) != 0


def signals(bench: Bench) -> Row:
    """SIGTERM, SIGINT and SIGHUP to `fttui resume`, to it alone and to its group."""
    tried = survived = silent = 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        for group in (False, True):
            folder = bench.new("lora")
            process = subprocess.Popen(
                [sys.executable, "-m", "tui", "resume", folder.name],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            lives.in_phase(folder, "train", 0)(process.pid)
            (os.killpg if group else os.kill)(process.pid, number)
            process.wait()
            tried += 1
            silent += summarise(folder).state == "interrupted"
            survived += bench.survives(folder, "lora")
    return Row("SIGTERM, SIGINT, SIGHUP, to one and to all", tried, survived, tried - survived, silent)


def disk(bench: Bench) -> Row:
    """A small tmpfs as the home, of sizes at which the plan, the cache, a checkpoint or the result finds no room."""
    tried = survived = silent = 0
    for kib in (8, 20, 40, 80, 160, 300, 400, 500, 700):
        home = bench.home / f"small-{kib}"
        home.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", home], capture_output=True
        ).returncode:
            print("no tmpfs can be mounted here: a full disk is not tried for real", file=sys.stderr)
            break
        try:
            tried += 1
            ended = _trained_in(bench, home)
            survived += ended.returncode in (0, 4)
            silent += ended.returncode != 0 and not ended.stdout + ended.stderr
            silent += _state_in(home) == "interrupted"
        finally:
            subprocess.run(["umount", home], check=True)
    return Row("a disk that is full from some byte on", tried, survived, tried - survived, silent)


def _state_in(home: Path) -> str:
    """What the list of runs says of the run in this home."""
    return next((summarise(RunFolder(path)).state for path in (home / "runs").glob("*")), "")


def _trained_in(bench: Bench, home: Path) -> subprocess.CompletedProcess[str]:
    settings = ["max_steps=6", "save_every=2", "eval_every=3", "micro_batch=2", "precision=float32", "max_length=256"]
    chosen = [part for setting in settings for part in ("--set", setting)]
    command = [
        sys.executable,
        "-m",
        "tui",
        "train",
        "--model",
        bench.model,
        "--data",
        bench.rows,
        "--method",
        "full",
        "--anyway",
    ]
    environment = os.environ | {"FTTUI_HOME": str(home)}
    return subprocess.run([*map(str, command), *chosen], env=environment, capture_output=True, text=True)


def damage(bench: Bench) -> Row:
    """Each file of a finished run, damaged in each way: then all commands run, and a stopped run is resumed."""
    from tui import cli

    whole = bench.new("lora")
    assert lives.finish(whole)
    tried = survived = 0
    for path in sorted(path for path in whole.path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for how, change in DAMAGES.items():
            path.write_bytes(change(content, bench.draw))
            codes = {text: _code(cli.run, text.format(run=whole.name).split()) for text in COMMANDS}
            wrong = {text: code for text, code in codes.items() if code not in (0, 2, 4)}
            tried += 1
            survived += not wrong
            if wrong:
                print(f"{path.relative_to(whole.path)}, {how}: {wrong}", file=sys.stderr)
        path.write_bytes(content)
    return Row("a damaged file of a run, then every command", tried, survived, tried - survived, 0)


def _code(run: Callable[[list[str]], int], command: list[str]) -> int:
    with Path(os.devnull).open("w") as nowhere:
        before = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = nowhere
        try:
            return run(command)
        except Exception:  # noqa: BLE001 - a traceback is what is looked for
            return -1
        finally:
            sys.stdout, sys.stderr = before


def _flipped(content: bytes, draw: random.Random) -> bytes:
    made_of = bytearray(content or b"\0")
    made_of[draw.randrange(len(made_of))] ^= 1 << draw.randrange(8)
    return bytes(made_of)


PARTS: dict[str, Callable[[Bench], Row]] = {
    "time": by_time,
    "phase": by_phase,
    "operation": by_operation,
    "ranks": ranks,
    "signals": signals,
    "disk": disk,
    "damage": damage,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rank-kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    lives.import_all()
    forked_ranks.use()
    bad = 0
    print("| fault | times tried | survived | lost | silent |\n|---|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        bench = Bench(Path(home), asked.kills, asked.rank_kills, asked.seed)
        for name, part in PARTS.items():
            if not asked.parts or name in asked.parts:
                row = part(bench)
                bad += row.lost + row.silent
                print(f"| {row.fault} | {row.tried} | {row.survived} | {row.lost} | {row.silent} |", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
