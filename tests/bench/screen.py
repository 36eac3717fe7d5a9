"""What the screen costs and how soon it responds, on real ptys. Prints Markdown for RESULTS.md.

python -m tests.bench.screen            everything, about three minutes
python -m tests.bench.screen paint keys ...     some of: live paint keys replay slow frozen
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from backend import answers_file
from backend.answers import Answers
from backend.run.folder import RunFolder, all_runs
from backend.run.history import read
from tests.bench.on_pty import OnPty
from tests.tui.story import make_run

SIZES = ((80, 24), (120, 40), (200, 50))
SECONDS = 12.0
PAINTS = 9
KEYS = 200
SLOW = 8000.0
"""Bytes per second of a line of 64 kbit/s."""
FROZEN_SECONDS = 20.0
STEPS, EVENTS = 100_000, 1_000_000
WIZARD = ["-m", "tui"]
STANDIN = ["-m", "tests.terminal.standin"]


def live() -> None:
    """Bytes and CPU of the live screen with a new step at every tick."""
    print("| live screen, 4 updates a second | kB/s | CPU of one core |\n|---|--:|--:|")
    for size in SIZES:
        app = OnPty(["-m", "tests.tui.stage", "live", "1200"], size)
        app.read(4.0)
        taken, used = app.taken, app.cpu_seconds()
        app.read(SECONDS)
        rate, part = (app.taken - taken) / SECONDS / 1000, (app.cpu_seconds() - used) / SECONDS
        print(f"| {size[0]}x{size[1]} | {rate:.2f} | {100 * part:.1f} % |", flush=True)
        app.close()


def paint() -> None:
    """From the start of the process to the wizard's first screen."""
    times = []
    for number in range(PAINTS + 1):
        app = OnPty(WIZARD, (80, 24))
        at = app.read(10.0, until=b"review")
        if number and at is not None:  # the first one warms the disk's cache
            times.append(at - app.started)
        app.close()
    shown = ", ".join(f"{value:.2f}" for value in sorted(times))
    print(f"\nFirst paint, warm: median {statistics.median(times):.2f} s of {shown}", flush=True)


def keys() -> None:
    """Key presses on the data step while torch is imported in the background; no demo model is converted."""
    answers_file.save(Answers(model="8b", data="demo"))
    app = OnPty(WIZARD, (80, 24))
    app.read(20.0, until=b"free at")
    app.press(b"\r")
    app.read(20.0, until="● model".encode())
    app.read(3.0)
    app.press(b"\r")
    app.read(10.0, until="● data".encode())
    times = []
    for number in range(KEYS):
        app.press(b"x" if number % 2 == 0 else b"\x7f")
        pressed = time.perf_counter()
        at = app.read(3.0, until=b"\x1b[")
        times.append((at or pressed + 3.0) - pressed)
        app.read(0.03)
    has_torch = any("libtorch_python" in part.path for x in app.processes() for part in x.memory_maps())
    app.close()
    times.sort()
    rank = {name: 1000 * times[int(part * len(times)) - 1] for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))}
    said = ", ".join(f"{name} {value:.0f} ms" for name, value in rank.items())
    print(f"\n{KEYS} key presses while torch is imported (imported: {has_torch}): {said}", flush=True)


def replay() -> None:
    """A long finished run: when its screen is shown, when its result, and how much memory it takes."""
    folder = make_run()
    _write_long(folder.events_file)
    size = folder.events_file.stat().st_size / 1e6
    app = OnPty([*WIZARD, "watch", folder.name], (120, 40))
    first = app.read(20.0, until=b"Loss")
    whole = app.read(20.0, until=b"Saved: load it")
    seconds = [(at or float("nan")) - app.started for at in (first, whole)]
    print(
        f"\n{STEPS:,} steps, {EVENTS:,} events ({size:.0f} MB): the screen is there after {seconds[0]:.2f} s, all "
        f"is read after {seconds[1]:.2f} s; {app.peak_bytes() / 2**20:.0f} MiB resident",
        flush=True,
    )
    app.close()


def _write_long(path: Path) -> None:
    """A step, four memory readings, four of the GPU and a log line, a hundred thousand times."""
    encode, at = msgspec.json.encode, 1_795_000_000.0
    memory = {"kind": "cuda", "allocated_bytes": 10 << 30, "reserved_bytes": 11 << 30, "device_bytes": 24 << 30}
    gpu = {"utilisation_percent": 97, "temperature_c": 70, "power_watts": 398.0}
    with path.open("wb") as file:
        file.write(encode({"t": at, "event": "run_started", "total_steps": STEPS}) + b"\n")
        for step in range(1, STEPS + 1):
            at = round(at + 0.3, 3)
            head = {"t": at, "event": "step", "step": step, "total_steps": STEPS, "loss": 1 + 100 / (step + 99)}
            lines = [head | {"learning_rate": 1e-4, "grad_norm": 0.4, "tokens_per_second": 2850.2, "step_seconds": 0.3}]
            lines += [{"t": at, "event": "memory", **memory, "peak_bytes": (11 << 30) + step}] * 4
            lines += [{"t": at, "event": "gpu", **gpu}] * 4
            lines += [{"t": at, "event": "log", "level": "info", "text": "a few words of a library at this step"}]
            file.write(b"".join(encode(line) + b"\n" for line in lines))
        file.write(encode({"t": at, "event": "run_finished", "state": "done", "seconds": 30_000.0}) + b"\n")


def slow() -> None:
    """Key presses at 200x50 behind a line of 64 kbit/s, while the run goes on."""
    app = OnPty(["-m", "tests.tui.stage", "live", "1200"], (200, 50))
    app.read(10.0, bytes_per_second=SLOW)
    times = []
    for number in range(20):
        app.press(str(1 + number % 5).encode())
        pressed = time.perf_counter()
        at = app.read(5.0, until=b"\x1b[", bytes_per_second=SLOW)
        times.append((at or pressed + 5.0) - pressed)
        app.read(0.5, bytes_per_second=SLOW)
    app.close()
    times.sort()
    print(
        f"\n64 kbit/s, 200x50, 20 key presses: median {1000 * statistics.median(times):.0f} ms, "
        f"the slowest {1000 * times[-1]:.0f} ms",
        flush=True,
    )


def frozen() -> None:
    """A terminal that nobody reads for 20 s: the trainer's pace, the CPU, and the screen afterwards."""
    app = OnPty([*STANDIN, "3000"], (120, 40))
    app.read(4.0)
    run = all_runs()[0]
    free = _pace(run, 4.0, app)
    used, step = app.cpu_seconds(), read(run.events_file).step
    time.sleep(FROZEN_SECONDS)
    part = (app.cpu_seconds() - used) / FROZEN_SECONDS
    held = (read(run.events_file).step - step) / FROZEN_SECONDS
    again = time.perf_counter()
    app.press(b"5")
    at = app.read(10.0, until=b"filter")
    app.close()
    print(
        f"\nNobody reads for {FROZEN_SECONDS:.0f} s: {held:.1f} steps a second (before {free:.1f}), "
        f"{100 * part:.1f} % of a core, trainer included; read again, a key is answered after "
        f"{(at or float('nan')) - again:.1f} s",
        flush=True,
    )


def _pace(run: RunFolder, seconds: float, app: OnPty) -> float:
    step = read(run.events_file).step
    app.read(seconds)
    return (read(run.events_file).step - step) / seconds


PARTS = {part.__name__: part for part in (live, paint, keys, replay, slow, frozen)}


def main() -> None:
    """Run the parts that are asked for, with a home of their own."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        for name in sys.argv[1:] or PARTS:
            PARTS[name]()


if __name__ == "__main__":
    main()
