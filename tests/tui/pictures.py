"""The README's pictures: screens as they are, as SVG and PNG.

    python -m tests.tui.pictures docs            compare, from the tests' fixed box and the real planner
    python -m tests.tui.pictures docs RUN        also live and result, of a run on this machine

PNG needs `rsvg-convert` and the font Fira Code.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from textual.app import App

from backend.run.folder import RunFolder
from tests.tui import box
from tests.tui.stage import Stage
from tui import report
from tui.screens.result import ResultScreen

SIZE = (100, 28)


async def picture(app: App[Any], name: str, folder: Path) -> None:
    """Run `app` until it settles and write NAME.png."""
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.pause(0.5)
        svg = report.svg(app, "fttui")
    with tempfile.NamedTemporaryFile("w", suffix=".svg") as file:
        file.write(svg)
        file.flush()
        subprocess.run(["rsvg-convert", file.name, "-o", str(folder / f"{name}.png")], check=True)


def main() -> None:
    """Write the pictures into the folder that the first argument names."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    app = box.at("compare")
    app.journey.answer(budget_usd=40.0, shift="domain")
    asyncio.run(picture(app, "compare", folder))
    for name in sys.argv[2:3]:
        asyncio.run(picture(Stage(ResultScreen(RunFolder.find(name))), "result", folder))


if __name__ == "__main__":
    main()
