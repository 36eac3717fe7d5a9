"""How long planning takes: `fttui plan` on 1,000 and 100,000 rows, the list of GPUs to rent, and a key on the screen.

    python -m tests.bench.plan

CPU seconds (user and system) beside wall seconds: a shared machine makes the latter noisy. Prints Markdown for
RESULTS.md.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from textual.app import App

from backend import units
from backend.answers import Answers
from backend.planner import devices
from backend.planner.compare import compare
from tests.shapes import LLAMA_8B, LLAMA_70B, model, rows

ROUNDS = 3
COMMAND = [sys.executable, "-m", "tui", "plan", "--model", "8b", "--gpu", "4090", "--budget", "40"]


def main() -> None:
    """Commands, then the comparison alone, then key to repaint."""
    print("| what | CPU s | wall s |\n|---|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for count, sentences in ((1_000, 12), (100_000, 4), (100_000, 12)):
            data = written(Path(folder) / f"{count}.jsonl", count, sentences)
            size = f"{count:,} rows, {units.disk(data.stat().st_size)}"
            print(command_line(f"`fttui plan`, a file of {size}", ["--data", str(data)]))
    sizes = ["--rows", "5000", "--row-tokens", "400"]
    print(command_line("`fttui plan`, sizes only", sizes))
    print(command_line("`fttui plan --rent`, sizes only", [*sizes, "--rent"]))
    print("\n| compare() alone | ms |\n|---|--:|")
    for name, shape, gpu in (("8B, RTX 4090", LLAMA_8B, "RTX 4090"), ("70B, RTX 4090", LLAMA_70B, "RTX 4090")):
        for count in (1_000, 100_000):
            print(f"| {name}, {count:,} rows, anew | {anew(shape, gpu, count) * 1000:.1f} |")
    print("\n| compare screen, a key's action to its repaint | ms, median | worst |\n|---|--:|--:|")
    for name, times in asyncio.run(keys()).items():
        print(f"| {name} | {statistics.median(times) * 1000:.0f} | {max(times) * 1000:.0f} |")


def written(path: Path, count: int, sentences: int) -> Path:
    """Rows of prompt and answer, so many sentences long."""
    answer = "The parcel was handed to a neighbour, and a claim has been opened. " * sentences
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"prompt": f"Where is parcel {number}? " * sentences, "completion": answer}) + "\n")
    return path


def command_line(name: str, options: list[str]) -> str:
    """The least of some rounds: what the work itself takes."""
    used, passed = zip(*(timed(options) for _ in range(ROUNDS)), strict=True)
    return f"| {name} | {min(used):.2f} | {min(passed):.2f} |"


def timed(options: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of one run."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*COMMAND, *options], stdout=subprocess.DEVNULL, check=True)
    passed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, passed


def anew(shape: object, gpu: str, count: int) -> float:
    """CPU seconds of one comparison without cached results: each has another rank."""
    data, device, info = rows(count, 900), devices.named(gpu), model(shape)  # type: ignore[arg-type]
    compare(Answers(), device, info, data)
    start = time.process_time()
    for rank in range(17, 27):
        compare(Answers(set=(f"rank={rank}",)), device, info, data)
    return (time.process_time() - start) / 10


async def keys() -> dict[str, list[float]]:
    """From each what-if's action to the painted screen, at 80x24: what the app does once a key has arrived."""
    from tests.tui import box

    app = box.at("compare")
    seen: dict[str, list[float]] = {}
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        for name in ("length(1)", "epochs(1)", "rank(1)", "select(1)"):
            seen[name] = [await acted(app, name) for _ in range(8)]
    return seen


async def acted(app: App[Any], action: str) -> float:
    """Seconds from an action to the end of the paint that it causes."""
    painted = asyncio.Event()
    start = time.perf_counter()
    await app.screen.run_action(action)
    app.screen.call_after_refresh(painted.set)
    await painted.wait()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
