"""The README's pictures: screens as they are, as SVG and PNG.

    python -m tests.tui.pictures docs            compare, from the tests' fixed box and the real planner
    python -m tests.tui.pictures docs RUN        also live and result, of a run on this machine

PNG needs `rsvg-convert` and the font Fira Code.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from textual.app import App

from backend.run.folder import RunFolder
from backend.run.history import read
from tests.tui import box
from tests.tui.stage import Stage
from tui import report
from tui.screens.live import LiveScreen
from tui.screens.result import ResultScreen

SIZE = (100, 28)


async def picture(app: App[Any], name: str, folder: Path) -> None:
    """Run `app` until it settles and write NAME.png."""
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.pause(0.5)
        svg = apart(report.svg(app, "fttui"))
    with tempfile.NamedTemporaryFile("w", suffix=".svg") as file:
        file.write(svg)
        file.flush()
        subprocess.run(["rsvg-convert", file.name, "-o", str(folder / f"{name}.png")], check=True)


def apart(svg: str) -> str:
    """Each cell of a chart as a text of its own: `rsvg-convert` sets braille in another font, of another width."""

    def split(found: re.Match[str]) -> str:
        before, x, between, width, after, text = found.groups()
        cell = float(width) / len(text)
        return "".join(
            f'<text{before} x="{float(x) + number * cell:.1f}"{between} textLength="{cell:.1f}"{after}>{sign}</text>'
            for number, sign in enumerate(text)
        )

    pattern = r'<text([^>]*) x="([\d.]+)"([^>]*) textLength="([\d.]+)"([^>]*)>([^<&]*[\u2800-\u28ff][^<&]*)</text>'
    return re.sub(pattern, split, svg)


def until(folder: RunFolder, step: int) -> tuple[RunFolder, float]:
    """A copy of a run as it was at `step`, and the time it was then."""
    copy = RunFolder.create(folder.job())
    at, lines = 0.0, []
    for line in folder.events_file.read_bytes().splitlines(keepends=True):
        event = msgspec.json.decode(line)
        if event["event"] == "step" and event["step"] > step:
            break
        at = event["t"]
        lines.append(line)
    copy.events_file.write_bytes(b"".join(lines))
    return copy, at


def of_a_run(run: RunFolder, folder: Path) -> None:
    """Its result, and the live screen as it was at two thirds."""
    asyncio.run(picture(Stage(ResultScreen(run)), "result", folder))
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        then, at = until(run, step=read(run.events_file).total_steps * 2 // 3)
        with then.hold():
            asyncio.run(picture(Stage(LiveScreen(then, clock=lambda: at)), "live", folder))


def main() -> None:
    """Write the pictures into the folder that the first argument names."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    app = box.at("compare")
    app.journey.answer(budget_usd=40.0, shift="domain")
    asyncio.run(picture(app, "compare", folder))
    for name in sys.argv[2:3]:
        of_a_run(RunFolder.find(name), folder)


if __name__ == "__main__":
    main()
