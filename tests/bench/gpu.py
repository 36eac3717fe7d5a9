"""Ten minutes on a GPU: what can only be measured there, the questions in order of their worth.

    python -m tests.bench.gpu [--minutes 10] [--scratch DIR] [--lines FILE] [--big 8B] [--small 1B]
    python -m tests.bench.gpu --table FILE      the lines of such a run as Markdown, for RESULTS.md

Every question is answered in a process of its own (tests/bench/gpu_parts.py), with a limit of its own: one that fails
or takes too long costs the others nothing. What is answered is written to FILE at once, a JSON object a line. Without a
GPU it prints "not measured"; `--try` goes through all of it on the CPU, with a tiny model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import gpu_table

LEAST_SECONDS = 20.0
"""With less time left no further question is asked."""
PARTS = "tests.bench.gpu_parts"
"""The module whose processes answer."""
SHARE = "0.12"
"""Part of the card that a run which must run out of memory may use."""


@dataclass(frozen=True)
class Question:
    """One part, what it is asked with, and how long it may take."""

    part: str
    arguments: tuple[str, ...] = ()
    seconds: float = 120.0


def questions(small: str, big: str, big_name: str, length: int) -> Iterator[Question]:
    """In order of worth: right or wrong first, then the default plans, then single settings."""
    for method in ("lora", "qlora", "full"):
        yield Question("relief", (small, method, SHARE), 75)
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
    answer = partial(_answer, until=until, parts=options.parts, patience=options.patience)
    box = answer(Question("box"))
    if not box.get("gpu") and not options.trial:
        print(f"not measured: {box.get('reason') or box.get('failed') or 'there is no NVIDIA GPU here'}")
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        small, big = f"{scratch}/small", f"{scratch}/big"
        sizes = ("tiny", "tiny", 768) if options.trial else (options.small, options.big, 2048)
        _write(options.lines, Question("box"), box)
        _write(options.lines, Question("make"), answer(Question("make", (sizes[0], small), 60)))
        for question in questions(small, big, sizes[1], sizes[2]):
            if until - time.monotonic() < LEAST_SECONDS:
                break
            _write(options.lines, question, answer(question))
    print(gpu_table.markdown(options.lines.read_text().splitlines()))


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


def _answer(question: Question, until: float, parts: str = PARTS, patience: float = 1.0) -> dict[str, Any]:
    """What the part says, or why it says nothing."""
    command = [sys.executable, "-m", parts, question.part, *question.arguments]
    began = time.monotonic()
    limit = max(1.0, min(patience * question.seconds, until - began))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer after {limit:.0f} s"}
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    took = {"took": round(time.monotonic() - began, 1)}
    if done.returncode or not said:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no word")
        return {"failed": f"exit code {done.returncode}: {last[:300]}", **took}
    return {**json.loads(said[-1]), **took}


def _write(lines: Path, question: Question, answer: dict[str, Any]) -> None:
    line = json.dumps({"part": question.part, "asked": question.arguments, **answer})
    with lines.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line[:300], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
