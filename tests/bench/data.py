"""How large data is read: a JSONL file of 1 GB inspected and prepared, and `fttui plan` on 1,000 rows.

    python -m tests.bench.data [--gigabytes 1]

Each in a process of its own: wall and CPU seconds, and the peak of its resident memory. Prints Markdown for RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from backend import units
from tests.tiny import make_model

SENTENCES = ("The parcel was handed to a neighbour.", "A claim has been opened.", "It takes three days, as a rule.")
INSPECT = """
from backend.data.inspect import inspect
from backend.model import find
report = inspect({data!r}, model=find.find({model!r}))
print(f"{{report.all_rows:,}} rows, {{report.used_rows:,}} used")
"""
PREPARE = """
from pathlib import Path
from backend.data.prepare import prepare
made = prepare({data!r}, (), Path({model!r}), 512, 0.1, 0)
print(f"{{len(made.train):,}} rows to train on, {{len(made.held_out):,}} held out")
"""


def main() -> None:
    """Make the files, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=1.0)
    size = int(parser.parse_args().gigabytes * 1e9)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["FTTUI_HOME"] = str(folder / "home")
        model = make_model(folder / "model")
        large, small = written(folder / "large.jsonl", size), written(folder / "small.jsonl", rows=1000)
        print("| what | wall s | CPU s | peak RSS MB | |\n|---|--:|--:|--:|---|")
        what = f"a JSONL file of {units.disk(large.stat().st_size)}"
        print(measured(f"inspect {what}", [sys.executable, "-c", INSPECT.format(data=str(large), model=str(model))]))
        print(measured(f"prepare {what}", [sys.executable, "-c", PREPARE.format(data=str(large), model=str(model))]))
        plan = [sys.executable, "-m", "tui", "plan", "--gpu", "4090", "--json", "--data", str(small), "--model"]
        print(measured("`fttui plan`, 1,000 rows, a size only", [*plan, "8b"], says=False))
        print(measured("`fttui plan`, 1,000 rows, with a tokenizer", [*plan, str(model)], says=False))


def written(path: Path, size: int = 0, rows: int = 0) -> Path:
    """Rows of messages with a few sentences, until the file has `size` bytes or `rows` rows."""
    number = done = 0
    with path.open("w", encoding="utf-8") as file:
        while done < size or number < rows:
            answer = " ".join(SENTENCES * (1 + number % 12)) + f" Number {number}."
            turns = [
                {"role": "user", "content": f"Where is parcel {number}?"},
                {"role": "assistant", "content": answer},
            ]
            done += file.write(json.dumps({"messages": turns, "id": number}) + "\n")
            number += 1
    return path


def measured(what: str, command: list[str], says: bool = True) -> str:
    """A line of the table."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = child.stdout.read() if child.stdout else ""
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{what} ended with {status}")
    cpu = used.ru_utime + used.ru_stime
    return f"| {what} | {wall:.1f} | {cpu:.1f} | {used.ru_maxrss / 1024:.0f} | {said.strip() if says else ''} |"


if __name__ == "__main__":
    main()
