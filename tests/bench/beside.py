"""What the live screen costs the training beside it, and how soon it answers a key meanwhile.

    python -m tests.bench.beside [REPETITIONS] [ROWS]

The 10M model as in `tests.bench.trainer`, by turns without the live screen, with it in the same process, and with it
and keys, on a pseudo-terminal of 80x24 that is read as fast as it is written. Where keys are pressed, `m` is every
other second, which gives one panel the whole screen or takes it back: answered when 1,500 bytes have come, more than a
tick of the live screen writes. Prints Markdown for RESULTS.md.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import made

PRESS_SECONDS = 2.0
ANSWER_BYTES = 1500
WITHOUT, WITH, KEYS = "without the screen", "with the screen", "with the screen and a key every two seconds"


def main() -> None:
    """Run by turns, print the table."""
    if sys.argv[1:2] == ["--child"]:
        sys.exit(child(*sys.argv[2:]))
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 400
    speeds: dict[str, list[float]] = {WITHOUT: [], WITH: [], KEYS: []}
    answers: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        model, rows = made.model(Path(folder) / "model"), made.rows(Path(folder) / "rows.jsonl", count)
        for number in range(repetitions):
            for kind, found in list(speeds.items())[:: 1 if number % 2 else -1]:  # nobody is always the first
                home = Path(folder) / f"home-{list(speeds).index(kind)}-{number}"
                home.mkdir()
                command = [sys.executable, "-m", "tests.bench.beside", "--child", kind, str(model), str(rows)]
                environment = {**os.environ, "FTTUI_HOME": str(home), "TERM": "xterm-256color"}
                if kind == WITHOUT:
                    subprocess.run(command, env=environment, check=True, stdin=subprocess.DEVNULL)
                else:
                    answers += watch(command, environment, press=kind == KEYS)
                found.append(tokens_per_second(home))
    print(f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {repetitions} by turns, {count} rows\n")
    print("| run | tokens/s, median | range |\n|---|--:|--:|")
    for kind, found in speeds.items():
        print(f"| {kind} | {statistics.median(found):,.0f} | {min(found):,.0f}-{max(found):,.0f} |")
    for kind in (WITH, KEYS):
        ratios = [ours / alone for ours, alone in zip(speeds[kind], speeds[WITHOUT], strict=True)]
        low, high = _interval(ratios)
        print(f"\n{kind}, in pairs: {statistics.median(ratios) - 1:+.1%} ({low - 1:+.1%} to {high - 1:+.1%}, 9 in 10).")
    worst = max(answers)
    middle = statistics.median(answers)
    print(f"\n{len(answers)} keys while training: median {1000 * middle:.0f} ms, longest {1000 * worst:.0f} ms.")


def _interval(ratios: list[float]) -> tuple[float, float]:
    """Where the median lies with 90 % confidence: bootstrap of 10,000 draws."""
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(10_000))
    return medians[500], medians[-501]


def child(kind: str, model: str, rows: str) -> int:
    """Train once; with the live screen, or without any."""
    from backend.planner.plan import Plan
    from backend.run.folder import RunFolder
    from backend.run.job import Job
    from backend.training.train import train
    from tests.bench.trainer_runs import NEVER
    from tui import process

    plan = Plan(
        method="full",
        quantization="none",
        epochs=1,
        max_length=2048,
        effective_batch=8,
        eval_fraction=0.0,
        eval_every=NEVER,
        save_every=NEVER,
    )
    job = Job(model, model, rows, plan, device="cpu", device_name="CPU")
    if kind == WITHOUT:
        return 0 if train(RunFolder.create(job)) == "done" else 1
    return process.run_app(lambda launch: _app(launch, job))


def _app(launch: Any, job: Any) -> Any:
    from tests.tui.stage import Stage
    from tui.screens.live import LiveScreen

    class Watching(Stage):
        """Starts its run, shows it, and leaves when it is over."""

        def on_mount(self) -> None:
            folder, trainer = launch(job)
            self.push_screen(LiveScreen(folder, trainer))
            self.set_interval(0.5, lambda: None if trainer.is_alive() else self.exit())

    return Watching(None)


@dataclass
class Watcher:
    """Reads a terminal's output, presses `m` now and then where asked, and times the answers."""

    press: bool
    answers: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    pressed: float | None = None
    seen: int = 0

    def step(self, master: int, *, training: bool) -> bool:
        """Read what there is; False where the other end is closed."""
        if select.select([master], [], [], 0.05)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                return False
            self._came(len(data))
        now = time.monotonic()
        if self.press and training and self.pressed is None and now - self.started > PRESS_SECONDS:
            self.started, self.pressed, self.seen = now, now, 0
            os.write(master, b"m")
        return True

    def _came(self, count: int) -> None:
        self.seen += count
        if self.pressed is not None and self.seen >= ANSWER_BYTES:
            self.answers.append(time.monotonic() - self.pressed)
            self.pressed = None


def watch(command: list[str], environment: dict[str, str], *, press: bool) -> list[float]:
    """Run `command` on a pseudo-terminal to its end; seconds that each key took."""
    pid, master = pty.fork()
    if pid == 0:
        os.execve(command[0], command, environment)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    watcher, home = Watcher(press), Path(environment["FTTUI_HOME"])
    while watcher.step(master, training=_steps(home)):
        pass
    os.waitpid(pid, 0)
    os.close(master)
    return watcher.answers


def _steps(home: Path) -> bool:
    """The run in `home` is in its steps."""
    last = list(_events(home))[-1:]
    return bool(last) and last[0]["event"] in ("step", "memory")


def _events(home: Path) -> Any:
    for path in home.glob("runs/*/events.jsonl"):
        for line in path.read_bytes().splitlines():
            if line.endswith(b"}"):
                yield json.loads(line)


def tokens_per_second(home: Path) -> float:
    """Of the run in `home`."""
    (end,) = [event for event in _events(home) if event["event"] == "run_finished"]
    assert end["state"] == "done"
    return float(end["tokens_per_second"])


if __name__ == "__main__":
    main()
