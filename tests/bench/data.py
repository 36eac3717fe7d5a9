"""What fttui makes of real-world data files, and how it reads large data: `make bench-data`.

    python -m tests.bench.data [--gigabytes 1] [--cases FOLDER] [--clean FILE ...]

By default: a 1 GB JSONL file is inspected and prepared, and `fttui plan` runs on 1,000 rows, each in its own process:
wall and CPU seconds, and the peak of its resident memory. `--cases` prints what becomes of every data file in FOLDER
with the models of its case, and of every file with every chat template; `--clean` prints the findings of sets that have
nothing wrong. Prints Markdown for RESULTS.md; exits with 1 for a traceback.
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
from tests.bench import data_cases
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


def main() -> int:
    """Print what was asked for; exit code 1 for a traceback."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--clean", type=Path, nargs="*", default=[])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["FTTUI_HOME"] = str(folder / "home")
        model = make_model(folder / "model")
        if asked.cases or asked.clean:
            return said(asked.cases, asked.clean, make_model(folder / "long", max_position_embeddings=32768))
        timed(folder, model, int(asked.gigabytes * 1e9))
    return 0


def said(cases: Path | None, clean: list[Path], model: Path) -> int:
    """The tables of cases and of clean sets; how many tracebacks there were, at most 1."""
    lines = [*data_cases.table([data_cases.outcome(path, model, path.name) for path in clean]), ""] if clean else []
    if cases:
        lines += [*data_cases.table(list(data_cases.outcomes(cases, model))), ""]
        lines += data_cases.with_every_template(cases)
    print("\n".join(lines))
    return int(any("TRACEBACK" in line for line in lines))


def timed(folder: Path, model: Path, size: int) -> None:
    """Large data and plans, measured."""
    large, small = written(folder / "large.jsonl", size), written(folder / "small.jsonl", rows=1000)
    print("| what | wall s | CPU s | peak RSS MB | |\n|---|--:|--:|--:|---|")
    what = f"a JSONL file of {units.disk(large.stat().st_size)}"
    print(measured(f"inspect {what}", [sys.executable, "-c", INSPECT.format(data=str(large), model=str(model))]))
    print(measured(f"prepare {what}", [sys.executable, "-c", PREPARE.format(data=str(large), model=str(model))]))
    plan = [sys.executable, "-m", "tui", "plan", "--gpu", "4090", "--json", "--data", str(small), "--model"]
    print(measured("`fttui plan`, 1,000 rows, a size only", [*plan, "8b"], says=False))
    print(measured("`fttui plan`, 1,000 rows, with a tokenizer", [*plan, str(model)], says=False))
    print(f"\nLoad of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


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
    return f"| {what} | {wall:.2f} | {cpu:.2f} | {used.ru_maxrss / 1024:.0f} | {said.strip() if says else ''} |"


if __name__ == "__main__":
    sys.exit(main())
