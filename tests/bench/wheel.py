"""The wheel installed and used outside of the clone, as `pipx install` does it. Prints Markdown for RESULTS.md.

    python -m tests.bench.wheel

Builds the wheel, installs it into an environment of its own and runs it from an empty folder. The dependencies are
those of the environment that this runs in: resolving and downloading them is not what is tried here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

from tests.bench.on_pty import ROOT, OnPty

EIGHT_B = ("--model", "8b", "--gpu", "4090", "--rows", "5000", "--row-tokens", "400")
COMMANDS = (
    ("--version",),
    ("--help",),
    ("presets",),
    ("presets", "show", "demo"),
    ("plan", *EIGHT_B, "--json"),
    ("data", "demo", "--row", "0"),
    ("doctor", "--json"),
    ("runs",),
)


def built(folder: Path) -> Path:
    """The wheel of this clone."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("fttui-*.whl")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment that has the wheel, and the dependencies of the one that this runs in."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--force-reinstall", str(wheel)], check=True)
    return python


def where(python: Path, folder: Path, environment: dict[str, str]) -> str:
    """From where the package is imported."""
    code = "import tui, json; print(json.dumps(tui.__file__))"
    done = subprocess.run([python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout))


def main() -> None:
    """Build, install, run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty, home = folder / "empty", folder / "home"
        empty.mkdir()
        home.mkdir()
        python = installed(built(folder), folder / "venv")
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"FTTUI_HOME": str(home), "HF_HUB_OFFLINE": "1"}
        assert str(folder) in where(python, empty, environment), "the clone's own code was imported"
        print("| command | exit code | bytes printed |\n|---|--:|--:|")
        for arguments in COMMANDS:
            command = [str(python.with_name("fttui")), *arguments]
            done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, check=False)
            print(f"| `fttui {' '.join(arguments)}` | {done.returncode} | {len(done.stdout):,} |", flush=True)
        os.environ.pop("PYTHONPATH", None)
        app = OnPty(
            [str(python.with_name("fttui"))], (80, 24), python=str(python), folder=str(empty), FTTUI_HOME=str(home)
        )
        shown = app.read(60.0, until=b"Plan for which device?")
        app.close()
        print(f"\nThe wizard: {'its first screen is there' if shown else 'nothing came'}.")


if __name__ == "__main__":
    main()
