"""The README's pictures: screens as they are, as SVG and PNG.

    python -m tests.tui.pictures docs            compare, from the tests' fixed box and the real planner
    python -m tests.tui.pictures docs RUN        also live and result, of a run on this machine

PNG needs `rsvg-convert` and the font Fira Code.
"""

from __future__ import annotations

import asyncio
import html
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

SIZE, LARGE = (100, 28), (200, 50)


async def picture(app: App[Any], name: str, folder: Path, size: tuple[int, int] = SIZE) -> None:
    """Run `app` until it settles and write NAME.png."""
    async with app.run_test(size=size) as pilot:
        await box.settled(pilot)
        await pilot.pause(0.5)
        svg = apart(report.svg(app, "fttui"))
    with tempfile.NamedTemporaryFile("w", suffix=".svg") as file:
        file.write(svg)
        file.flush()
        subprocess.run(["rsvg-convert", file.name, "-o", str(folder / f"{name}.png")], check=True)


_CELL, _FONT = 12.2, 20.0
"""Width of a cell in the picture, and the size of its letters."""
_NOT_TEXT = re.compile("[\u2500-\u257f\u2800-\u28ff]")


def apart(svg: str) -> str:
    """Each sign of a frame or a chart as a text of its own: `rsvg-convert` sets them in fonts of other widths."""

    def split(found: re.Match[str]) -> str:
        before, x, between, after, text = found.groups()
        signs = html.unescape(text)
        if not _NOT_TEXT.search(signs):
            return found[0]
        return "".join(
            f'<text{_size(sign)}{before} x="{float(x) + number * _CELL:.1f}"{between}{after}>{html.escape(sign)}</text>'
            for number, sign in enumerate(signs)
            if sign.strip()
        )

    pattern = r'<text([^>]*) x="([\d.]+)"([^>]*) textLength="[\d.]+"([^>]*)>([^<]*)</text>'
    return re.sub(pattern, split, svg)


def _size(sign: str) -> str:
    """Lines of frames are drawn larger: they reach to the next cell in every direction."""
    return f' style="font-size:{_FONT * 1.06:.1f}px"' if "\u2500" <= sign <= "\u257f" else ""


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
            asyncio.run(picture(Stage(LiveScreen(then, clock=lambda: at)), "live-large", folder, LARGE))


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
