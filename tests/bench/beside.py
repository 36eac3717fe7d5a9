"""What the live screen costs the training in its process, and how soon it responds to a key meanwhile.

    python -m tests.bench.beside [REPETITIONS] [ROWS]

The 10M model as in `tests.bench.trainer`, the live screen in the same process, on a pseudo-terminal of 80x24 that is
read as fast as it is written. In a run of the first kind the screen is opened and closed every few seconds, and the
tokens per second of neighbouring parts compared: from run to run they differ more than the screen costs. In one of the
second kind `m` is pressed every other second, which gives one panel the whole screen or takes it back: the response
counts when 1,500 bytes have come, more than a tick of the live screen writes. Prints Markdown for RESULTS.md.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import pty
import random
import select
import statistics
import struct
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
TURN_SECONDS = 6.0
SETTLE_SECONDS = 1.0
"""Seconds after the screen was opened or closed that are not counted."""
TURNS, KEYS = "turns", "keys"
LOG = "turns.jsonl"


def main() -> None:
    """Run, print the figures."""
    if sys.argv[1:2] == ["--child"]:
        sys.exit(child(*sys.argv[2:]))
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 400
    ratios: list[float] = []
    answers: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        model, rows = made.model(Path(folder) / "model"), made.rows(Path(folder) / "rows.jsonl", count)
        for number in range(repetitions):
            for kind in (TURNS, KEYS):
                home = Path(folder) / f"home-{kind}-{number}"
                home.mkdir()
                command = [sys.executable, "-m", "tests.bench.beside", "--child", str(model), str(rows), kind]
                environment = {**os.environ, "FTTUI_HOME": str(home), "TERM": "xterm-256color"}
                answers += watch(command, environment, press=kind == KEYS)
                if kind == TURNS:
                    ratios += compare(home)
    low, high = _interval(ratios)
    print(f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {repetitions} runs of {count} rows\n")
    print(
        f"With the screen open: {statistics.median(ratios) - 1:+.1%} tokens/s, the median of {len(ratios)} changes",
        end="",
    )
    print(f" ({low - 1:+.1%} to {high - 1:+.1%} with 90 % confidence).")
    middle, worst = statistics.median(answers), max(answers)
    print(f"{len(answers)} keys while training: median {1000 * middle:.0f} ms, longest {1000 * worst:.0f} ms.")


def _interval(ratios: list[float]) -> tuple[float, float]:
    """The 90 % confidence interval of the median: bootstrap of 10,000 draws."""
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(10_000))
    return medians[500], medians[-501]


def compare(home: Path) -> list[float]:
    """Tokens per second with the screen open over those without it, for each two neighbouring parts."""
    turns = [json.loads(line) for line in (home / LOG).read_text().splitlines()]
    steps = [event for event in _events(home) if event["event"] == "step"]
    speeds = []
    for turn, following in itertools.pairwise(turns):
        begins, ends = turn["t"] + SETTLE_SECONDS, following["t"]
        inside = [x for x in steps if x["t"] - x["step_seconds"] >= begins and x["t"] <= ends]
        if len(inside) >= 3:
            speeds.append((turn["open"], sum(x["tokens"] for x in inside) / sum(x["step_seconds"] for x in inside)))
    pairs = [dict(pair) for pair in itertools.pairwise(speeds)]
    return [pair[True] / pair[False] for pair in pairs if len(pair) == 2]


def child(model: str, rows: str, kind: str) -> int:
    """Train once beside the live screen."""
    from backend.plan.job import Job
    from backend.plan.plan import Plan
    from tests.bench.trainer_runs import NEVER
    from tui import process

    plan = Plan(
        method="full",
        quantization="none",
        epochs=2 if kind == TURNS else 1,
        max_length=2048,
        effective_batch=8,
        eval_fraction=0.0,
        eval_every=NEVER,
        save_every=NEVER,
    )
    job = Job(model, model, rows, plan, device="cpu", device_name="CPU")
    return process.run_app(lambda launch: _app(launch, job, by_turns=kind == TURNS))


def _app(launch: Any, job: Any, *, by_turns: bool) -> Any:
    from tests.tui.stage import Stage
    from tui.screens.live import LiveScreen

    class Watching(Stage):
        """Starts its run, shows it (in turns if asked), and leaves when it is over."""

        def on_mount(self) -> None:
            self.run_folder, self.trainer = launch(job)
            self.turn()
            if by_turns:
                self.set_interval(TURN_SECONDS, self.turn)
            self.set_interval(0.5, lambda: None if self.trainer.is_alive() else self.exit())

        def turn(self) -> None:
            is_open = isinstance(self.screen, LiveScreen)
            if is_open:
                self.pop_screen()
            else:
                self.push_screen(LiveScreen(self.run_folder, self.trainer))
            with (Path(os.environ["FTTUI_HOME"]) / LOG).open("a") as log:
                log.write(json.dumps({"t": time.time(), "open": not is_open}) + "\n")

    return Watching(None)


@dataclass
class Watcher:
    """Reads a terminal's output, presses `m` now and then if asked, and times the responses."""

    press: bool
    answers: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    pressed: float | None = None
    seen: int = 0

    def step(self, master: int, *, training: bool) -> bool:
        """Read what there is; False if the other end is closed."""
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
    """Whether the run in `home` is in its steps."""
    last = list(_events(home))[-1:]
    return bool(last) and last[0]["event"] in ("step", "memory")


def _events(home: Path) -> Any:
    for path in home.glob("runs/*/events.jsonl"):
        for line in path.read_bytes().splitlines():
            if line.endswith(b"}"):
                yield json.loads(line)


if __name__ == "__main__":
    main()
