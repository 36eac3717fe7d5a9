"""A run that trains for an hour with its screen, two watchers and a checkpoint a minute: what grows?

    python -m tests.bench.soak [MINUTES]

In a tmux of its own: the live screen with the trainer in its process, and two `fttui watch`. Prints, each minute, the
resident memory, file descriptors and threads of the three and the steps a second, as Markdown; then their slopes.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run import control
from backend.run.folder import RunFolder, all_runs
from backend.run.history import read
from tests.bench import made
from tests.terminal.tmux import Tmux
from tests.tiny import make_model
from tests.tui.stage import Stage
from tui import process
from tui.screens.live import LiveScreen

MINUTE = 60.0
WATCHERS = 2
SETTLED = 5
"""Minutes that are left out of the slopes: libraries are still being imported and caches filled."""
SCREEN = "--screen"


class Reading(NamedTuple):
    """One process at one time."""

    rss_mib: float
    descriptors: int
    threads: int


def main() -> None:
    """Run for MINUTES, by default 60."""
    if SCREEN in sys.argv:
        job = _job(Path(sys.argv[2]), Path(sys.argv[3]))
        sys.exit(process.run_app(lambda launch: _Training(launch, job)))
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"FTTUI_HOME": str(Path(name) / "home"), "OMP_NUM_THREADS": "1"}
        model, rows = make_model(Path(name) / "model"), made.rows(Path(name) / "rows.jsonl", 400)
        kept = ("FTTUI_HOME", "OMP_NUM_THREADS", "PYTHONPATH")
        tmux = Tmux(Path(name), {key: os.environ[key] for key in kept if key in os.environ}, 120, 40)
        try:
            tmux.python(f"-m tests.bench.soak {SCREEN} {model} {rows}")
            _soak(tmux, _training(), minutes)
        finally:
            tmux.close()


class _Training(Stage):
    """Starts its run when it is up, as the wizard does."""

    def __init__(self, launch: process.Launch, job: Job) -> None:
        super().__init__(None)
        self._launch, self._job = launch, job

    def on_mount(self) -> None:
        folder, trainer = self._launch(self._job)
        self.push_screen(LiveScreen(folder, trainer))


def _job(model: Path, rows: Path) -> Job:
    plan = Plan(
        method="lora",
        precision="float32",
        epochs=10_000,
        effective_batch=4,
        micro_batch=4,
        max_length=256,
        eval_fraction=0.05,
        eval_every=2000,
        save_every=10**6,
        keep_checkpoints=2,
    )
    return Job(str(model), str(model), str(rows), plan, device="cpu", device_name="CPU")


def _soak(tmux: Tmux, folder: RunFolder, minutes: int) -> None:
    for number in range(WATCHERS):
        tmux.open(f"watcher-{number}")
        tmux.python(f"-m tui watch {folder.name}")
    print("| minute | steps/s | trainer and screen: MiB, descriptors, threads | watchers: MiB, descriptors, threads |")
    print("|--:|--:|---|---|", flush=True)
    rates, trainers, watchers = list[float](), list[Reading](), list[Reading]()
    before = read(folder.events_file).step
    for minute in range(1, minutes + 1):
        control.send(folder.commands_file, "checkpoint")
        began = time.monotonic()
        time.sleep(MINUTE)
        step = read(folder.events_file).step
        rates.append((step - before) / (time.monotonic() - began))
        before = step
        trainers.append(_largest(SCREEN))
        seen = [_reading(each) for each in _found(f"watch {folder.name}")]
        watchers += [max(seen)] if seen else []
        shown = "; ".join(_shown(each) for each in seen)
        print(f"| {minute} | {rates[-1]:.1f} | {_shown(trainers[-1])} | {shown} |", flush=True)
    control.send(folder.commands_file, "stop")
    while folder.is_alive():  # a run outlives its terminal
        time.sleep(1)
    written = len(read(folder.events_file).checkpoints)
    print(f"\ncheckpoints {written}, events {folder.events_file.stat().st_size:,} bytes")
    figures: tuple[tuple[str, Sequence[float]], ...] = (
        ("steps/s", rates),
        ("trainer MiB", [each.rss_mib for each in trainers]),
        ("trainer descriptors", [each.descriptors for each in trainers]),
        ("trainer threads", [each.threads for each in trainers]),
        ("watcher MiB", [each.rss_mib for each in watchers]),
    )
    for name, values in figures:
        print(f"{name}: {_slope(values[SETTLED:])}")


def _training() -> RunFolder:
    """The run, once it has made a step."""
    until = time.monotonic() + 5 * MINUTE
    while not (runs := all_runs()) or not read(runs[0].events_file).step:
        if time.monotonic() > until:
            raise SystemExit(f"no step came: {runs[0].log_file.read_text()[-2000:] if runs else 'no run'}")
        time.sleep(1)
    return runs[0]


def _found(words: str) -> list[psutil.Process]:
    """Processes of this home whose command line has `words`; of a parent and its fork, the fork."""
    home, found = os.environ["FTTUI_HOME"], list[psutil.Process]()
    for each in psutil.process_iter():
        try:
            if (
                words in " ".join(each.cmdline())
                and each.environ().get("FTTUI_HOME") == home
                and each.pid != os.getpid()
            ):
                found.append(each)
        except psutil.Error:
            continue
    parents = {each.ppid() for each in found}
    return [each for each in found if each.pid not in parents and each.name() != "bash"]


def _largest(words: str) -> Reading:
    return max((_reading(each) for each in _found(words)), default=Reading(0, 0, 0))


def _reading(each: psutil.Process) -> Reading:
    try:
        return Reading(each.memory_info().rss / 2**20, each.num_fds(), each.num_threads())
    except psutil.Error:
        return Reading(0, 0, 0)


def _shown(reading: Reading) -> str:
    return f"{reading.rss_mib:.0f}, {reading.descriptors}, {reading.threads}"


def _slope(values: Sequence[float]) -> str:
    """The change from the first fifth to the last, and a straight line's growth per hour."""
    if len(values) < 5:
        return "too few minutes"
    part = max(1, len(values) // 5)
    line = statistics.linear_regression(range(len(values)), values)
    first, last = statistics.mean(values[:part]), statistics.mean(values[-part:])
    return f"{first:.1f} at first, {last:.1f} at last, {line.slope * 60:+.1f} an hour"


if __name__ == "__main__":
    main()
