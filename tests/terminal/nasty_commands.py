"""The commands, one after the other, on a box where every outside text is nasty.

    python -m tests.terminal.nasty_commands FOLDER

Standard output and error are the terminal's. The checks of `doctor` and the trainer are stand-ins.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from backend import doctor
from backend.doctor import Check
from backend.launch import launch
from tests.terminal import nasty_box
from tests.terminal.nasty_wizard import start
from tests.tui.nasty import NAMES
from tui import cli


def commands(folder: Path) -> list[list[str]]:
    """Those that print outside text, and those that refuse it."""
    model, data = str(folder / nasty_box.MODEL), str(folder / nasty_box.ALL_ROWS)
    plan = ["plan", "--model", model, "--gpu", "4090", "--data"]
    return [
        ["runs"],
        ["runs", "--json"],
        ["presets", "list"],
        ["presets", "show", "clean"],
        ["presets", "show", f"bad{NAMES['colour']}"],
        ["watch", nasty_box.ODD_RUN, "--once"],
        ["watch", nasty_box.ODD_RUN, "--plain"],
        ["watch", f"none {nasty_box.TITLE}"],
        ["stop", nasty_box.ODD_RUN],
        [*plan, data],
        [*plan, data, "--json"],
        [*plan, str(folder / nasty_box.BROKEN)],
        [*plan, data, "--mapping", "prompt=x"],
        [*plan, data, "--set", f"{nasty_box.TITLE}=1"],
        ["plan", "--model", str(folder / nasty_box.NO_MODEL), "--data", data],
        ["plan", "--model", str(folder / nasty_box.ODD_MODEL), "--data", data],
        ["plan", f"--{nasty_box.TITLE}"],
        [nasty_box.TITLE],
        ["doctor"],
        ["doctor", "--json"],
        ["train", nasty_box.PRESET, "--model", model, "--data", data, "--anyway"],
    ]


def main(folder: Path) -> None:
    found = [Check("title", "warn", f"odd {nasty_box.TITLE}", f"mend {nasty_box.LINK}")]
    setattr(doctor, "checks", lambda: found)  # noqa: B010  (a stand-in)
    setattr(launch, "start", start)  # noqa: B010
    for tokens in commands(folder):
        print(f"= ended with {cli.run(tokens)}", flush=True)


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    main(Path(sys.argv[1]))
