"""A new user's tasks, with keys alone, on a pty: how many keys each takes, and how long the screen needs.

    python -m tests.bench.tasks            all of them, some minutes: one trains the demo, for which torch is loaded
    python -m tests.bench.tasks plan       those without a run

Prints Markdown for RESULTS.md. The seconds are the screen's own: from the last key of a group of keys to its result,
without time to think.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from backend import answers_file
from backend.answers import Answers
from tests.terminal.emulated import Watched
from tests.tui.story import Story, finish, make_run, tell

ENTER, ESC, UP, DOWN, RIGHT = "\r", "\x1b", "\x1b[A", "\x1b[B", "\x1b[C"
CTRL_B, CTRL_P, CTRL_R = "\x02", "\x10", "\x12"
SIZES = ((80, 24), (200, 50))
PATIENCE_SECONDS = 300.0
Step = tuple[tuple[str, ...], str]
"""Keys, and what is on the screen when they were answered (a pattern)."""


def gone(text: str) -> str:
    """A pattern that matches a screen without this text."""
    return rf"(?s)\A(?!.*{text})"


class Done(NamedTuple):
    """A task that was done."""

    name: str
    keys: int
    seconds: float


class Terminal(Watched):
    """Looks at the screen as often as something comes."""

    def until(self, pattern: str) -> float:
        """Seconds until `pattern` is on the screen; fails with what is there instead."""
        begin, wanted = time.perf_counter(), re.compile(pattern)
        while time.perf_counter() < begin + PATIENCE_SECONDS:
            if wanted.search(self.terminal.text):
                return time.perf_counter() - begin
            if select.select([self._fd], [], [], 0.02)[0]:
                self.terminal.feed(os.read(self._fd, 65536))
        raise AssertionError(f"{pattern!r} did not come; the screen is\n{self.terminal.text}")

    def task(self, name: str, *steps: Step) -> Done:
        """Do it: press the keys of each step, and wait for what they lead to."""
        seconds = 0.0
        for keys, pattern in steps:
            self.type(*keys)
            seconds += self.until(pattern)
        return Done(name, sum(len(keys) for keys, _ in steps), seconds)


def planning(size: tuple[int, int], folder: Path) -> list[Done]:
    """From the first screen to the command for a rented GPU; nothing is trained."""
    long = " ".join(["word"] * 6000)
    rows = (
        f'{{"prompt": "{number} {long if number % 50 == 0 else ""}", "completion": "yes"}}' for number in range(400)
    )
    (folder / "rows.jsonl").write_text("\n".join(rows))
    app = Terminal(["-m", "tui"], size, folder=str(folder), PYTHONPATH=str(Path.cwd()))
    with contextlib.closing(app):
        app.until(r"this box: .* free")
        app.task("", ((ENTER,), "● model"), ((), r"parameters +\d"))
        found = [app.task("choose a known model by three letters", (tuple("gem"), r"❯ \S*emma"), ((ENTER,), "● data"))]
        app.until(r"row length")
        found += [app.task("see which rows are cut", ((CTRL_B,), r"row \d+ .*of 400"), (("c",), r"cut"))]
        app.task("", ((ESC,), "● data"), ((ENTER,), "● goal"), ((ENTER,), "● compare"), ((), r"e +epochs"))
        found += [app.task("find why a method does not fit", ((RIGHT, RIGHT), r"Why not Full|Why Full"))]
        found += [app.task("see what batch and length still fit", (("b",), r"in reserve"))]
        app.task("", ((ESC,), gone("What still fits")))
        light = (((CTRL_P, *"theme"), r"❯ Theme"), ((ENTER,), "❯ fttui-dark"), ((DOWN,), "❯ fttui-light"))
        found += [app.task("change the theme", *light, ((ENTER,), gone("❯ fttui-light")))]
        rented = (("$",), r"offers fit"), ((ENTER,), "x reset"), ((ENTER,), "is not in this box")
        found += [app.task("plan for a rented GPU and get its command", *rented, (("y",), "is in the clipboard"))]
        found += [app.task("make a preset", (("s",), "name"), ((*"mine", ENTER), "Saved"))]
    return found


def running(size: tuple[int, int], folder: Path) -> list[Done]:
    """A run on the demo: start it, look at it, stop it, export it, resume it; and two others compared."""
    for seed in (1, 2):
        other, story = make_run("lora"), Story(total_steps=40, seed=seed)
        finish(other, tell(other, story.begin(), story.steps(40)), "done")
    answers_file.save(Answers(model="demo", data="demo", set=("max_steps=400", "micro_batch=1", "effective_batch=1")))
    app = Terminal(["-m", "tui"], size, folder=str(folder), PYTHONPATH=str(Path.cwd()))
    with contextlib.closing(app):
        app.until(r"this box: .* free")
        app.task("", *(((ENTER,), f"● {step}") for step in ("model", "data", "goal", "compare", "review")))
        time.sleep(1.0)  # an Enter pressed at once starts nothing
        found = [app.task("start a run and see its first steps", ((ENTER,), r"step +\d+ of 400"))]
        found += [app.task('answer "is it fine?"', ((), r"✓ fine|! "))]
        found += [app.task("see the gradient norm over the run", (("]", "]"), "Gradient norm"))]
        found += [app.task("stop it", (("s",), "Stop this run"), (("s",), "e export"))]
        found += [app.task("export it", (("e",), "merged"), ((ENTER,), r"(?s)next:.*Esc closes"))]
        app.task("", ((ESC,), gone("Esc closes")))
        found += [app.task("resume it from the list", (("r",), "runs, by"), (("r",), "trains in the background"))]
        marked = (DOWN, " ", " ", "c")
        found += [app.task("compare two runs", (marked, "What differs"))]
        app.task("", ((ESC,), "runs, by"))
        app.task("", ((UP, UP, "x"), "Stop this run"), (("s",), "stops at its next step"))
        app.until(r"■ stopped|failed")
    return found


def main() -> None:
    """All sizes; a home for each."""
    parts = [part for part in (planning, running) if part is planning or "plan" not in sys.argv[1:]]
    for size in SIZES:
        print(f"\n| task, {size[0]}x{size[1]} | keys | seconds |\n|---|--:|--:|", flush=True)
        for part in parts:
            with tempfile.TemporaryDirectory() as name:
                os.environ["FTTUI_HOME"] = str(Path(name) / "home")
                (work := Path(name) / "work").mkdir()
                for done in part(size, work):
                    print(f"| {done.name} | {done.keys} | {done.seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
