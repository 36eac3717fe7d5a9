"""Ten minutes on a GPU: what can only be measured there, the most important questions first.

    python -m tests.bench.gpu [--minutes 10] [--scratch DIR] [--lines FILE] [--big 8B] [--small 1B]
    python -m tests.bench.gpu --table FILE      the lines of such a run as Markdown, for RESULTS.md

Every question is answered in a process of its own (tests/bench/gpu_parts.py), with a limit of its own: one that fails
or takes too long costs the others nothing, and is ended with all that it started. What is answered is written to FILE
at once, a JSON object a line. If the big model can't be made, the small one takes its place. The runs don't appear
among the user's, and no prediction is corrected by another question's runs. Without a GPU it prints "not measured";
`--try` goes through all of it on the CPU, with a tiny model.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import gpu_table

LEAST_SECONDS = 20.0
"""No further question is asked if less time than this is left."""
PARTS = "tests.bench.gpu_parts"
"""The module whose processes answer."""
ROOM = {"lora": "16", "qlora": "16", "full": "28"}
"""GiB for a run of the small model that must run out of memory: enough for its leanest settings."""
TRIAL = ("tiny", "tiny", 768)
TRIAL_ROOM = dict.fromkeys(ROOM, "0.65")
HOME = "FTTUI_HOME"
SECONDS = "GPU_PART_SECONDS"
"""The variable that tells a part how long it may take."""


@dataclass(frozen=True)
class Question:
    """One part, what it is asked with, and how long it may take."""

    part: str
    arguments: tuple[str, ...] = ()
    seconds: float = 120.0


def questions(small: str, big: str, big_name: str, length: int, room: Mapping[str, str] = ROOM) -> Iterator[Question]:
    """The most important first: correctness, then the default plans, then single settings."""
    for method in ("lora", "qlora", "full"):
        yield Question("relief", (small, method, room[method]), 75)
    yield Question("make", (big_name, big), 90)
    yield Question("default", (big, "lora", "10"))
    yield Question("default", (big, "qlora", "8"))
    for cudnn in ("with cuDNN", "without"):
        yield Question("shapes", (big, big_name, str(length), cudnn), 90)
    for method, settings, how in (
        ("lora", "fast", "packed"),
        ("lora", "fast", "one row"),
        ("qlora", "lean", "packed"),
        ("full", "lean", "packed"),
        ("lora", "lean", "packed"),
        ("qlora", "fast", "one row"),
    ):
        yield Question("row", (big, big_name, method, settings, str(length), how))
    yield Question("default", (big, "full", "6"))


def main() -> None:
    """Ask until the time is over, and print the table."""
    options = _options()
    if options.table:
        print(gpu_table.markdown(options.table.read_text().splitlines()))
        return
    until = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(dir=options.scratch, ignore_cleanup_errors=True) as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        answer = partial(_answer, until=until, parts=options.parts, patience=options.patience, home=home)
        box = answer(Question("box"))
        if not (box.get("gpu") or "failed" in box or options.trial):
            print(f"not measured: {box.get('reason') or 'there is no NVIDIA GPU here'}")
            return
        _write(options.lines, Question("box"), box)
        try:
            _ask(options, scratch, answer, until)
        finally:
            print(gpu_table.markdown(options.lines.read_text().splitlines()))


def _ask(options: argparse.Namespace, scratch: str, answer: Callable[[Question], dict[str, Any]], until: float) -> None:
    """Every question that there is time for."""
    small, big = f"{scratch}/small", f"{scratch}/big"
    small_name, big_name, length = TRIAL if options.trial else (options.small, options.big, 2048)
    instead: dict[str, str] = {}
    asked = questions(small, big, big_name, length, TRIAL_ROOM if options.trial else ROOM)
    for question in (Question("make", (small_name, small), 60), *asked):
        if until - time.monotonic() < LEAST_SECONDS:
            return
        put = replace(question, arguments=tuple(instead.get(x, x) for x in question.arguments))
        said = answer(put)
        _write(options.lines, put, said)
        if "failed" in said and put.arguments == (big_name, big):
            instead = {big: small, big_name: small_name}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--scratch", help="a folder with room for the weights (8B: 16 GB) and saved results")
    parser.add_argument("--lines", type=Path, default=Path("gpu.jsonl"))
    parser.add_argument("--big", default="8B")
    parser.add_argument("--small", default="1B")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--try", dest="trial", action="store_true")
    parser.add_argument("--parts", default=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--patience", type=float, default=1.0, help="times each question's limit, for a slow machine")
    return parser.parse_args()


def _answer(
    question: Question, until: float, parts: str = PARTS, patience: float = 1.0, home: Path | None = None
) -> dict[str, Any]:
    """The part's answer, or why there is none. A part that trains as a user does gets a copy of `home`."""
    began = time.monotonic()
    limit = max(1.0, min(patience * question.seconds, until - began))
    environment = {**os.environ, SECONDS: f"{limit:.0f}"}
    command = [sys.executable, "-m", parts, question.part, *question.arguments]
    with tempfile.TemporaryDirectory(dir=home and home.parent, ignore_cleanup_errors=True) as own:
        if home and question.part in ("relief", "default"):
            shutil.copytree(home, own, dirs_exist_ok=True)
            environment[HOME] = own
        elif home:
            environment[HOME] = str(home)
        code, output, errors = _run(command, environment, limit)
    said, took = _said(output), {"took": round(time.monotonic() - began, 1)}
    if said is not None:
        return {**said, **took}
    last = next((line.strip()[:300] for line in reversed(errors.splitlines()) if line.strip()), "no word")
    ended = f"no answer after {limit:.0f} s" if code is None else f"exit code {code}"
    return {"failed": f"{ended}: {last}", **took}


def _run(command: list[str], environment: Mapping[str, str], limit: float) -> tuple[int | None, str, str]:
    """Exit code (None: it took too long), output and errors. Whatever it has started is ended with it.

    Into files: a process that it leaves behind would keep a pipe open.
    """
    file = partial(tempfile.TemporaryFile, "w+", errors="replace")
    with file() as output, file() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment, process_group=0
        )
        code = None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(process)
        output.seek(0)
        errors.seek(0)
        return code, output.read(), errors.read()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group; a process that hangs in the driver is not waited for."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)


def _said(output: str) -> dict[str, Any] | None:
    """The last line that is a JSON object; None if there is none."""
    for line in reversed(output.splitlines()):
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    return None


def _write(lines: Path, question: Question, answer: dict[str, Any]) -> None:
    line = json.dumps({"part": question.part, "asked": question.arguments, **answer})
    with lines.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line[:300], file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that no part is left behind
    main()
