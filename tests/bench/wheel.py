"""The wheel installed by pipx and used outside of the clone. Prints Markdown for RESULTS.md.

    python -m tests.bench.wheel

Builds the wheel, installs it with pipx (which is itself installed for it), and runs it from an empty folder; without
pipx, into an environment of its own. The dependencies are those of the environment that this runs in: resolving and
downloading them is not tested here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
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


def installed(wheel: Path, folder: Path) -> tuple[Path, Path]:
    """The Python of a new environment with the wheel and the dependencies of the one that this runs in; its command."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    use_dependencies(python)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--force-reinstall", str(wheel)], check=True)
    return python, python.with_name("fttui")


def by_pipx(wheel: Path, folder: Path) -> tuple[Path, Path] | None:
    """As `installed`, by `pipx install`; None if there is no pipx to be had."""
    tools = folder / "tools"
    venv.create(tools, with_pip=True)
    pip = [str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pipx"]
    if subprocess.run(pip, check=False).returncode:
        return None
    home = folder / "pipx"
    environment = os.environ | {"PIPX_HOME": str(home), "PIPX_BIN_DIR": str(home / "bin"), "PIPX_MAN_DIR": str(home)}
    command = [str(tools / "bin" / "pipx"), "install", "--python", sys.executable, "--pip-args=--no-deps"]
    subprocess.run([*command, "--preinstall", str(dependencies(folder)), str(wheel)], env=environment, check=True)
    return home / "venvs" / "fttui" / "bin" / "python", home / "bin" / "fttui"


def dependencies(folder: Path) -> Path:
    """A wheel that makes this environment's packages visible in another one."""
    path, info = folder / "dependencies-1-py3-none-any.whl", "dependencies-1.dist-info"
    files = {
        "dependencies.pth": sysconfig.get_path("purelib"),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: dependencies\nVersion: 1",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any",
    }
    files[f"{info}/RECORD"] = "\n".join(f"{name},," for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, f"{text}\n")
    return path


def use_dependencies(python: Path) -> None:
    """Let an environment see the packages of the one that this runs in."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


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
        wheel = built(folder)
        found = by_pipx(wheel, folder)
        python, fttui = found or installed(wheel, folder / "venv")
        print(f"Installed {'by pipx' if found else 'by pip: there is no pipx'}.\n")
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"FTTUI_HOME": str(home), "HF_HUB_OFFLINE": "1"}
        assert str(folder) in where(python, empty, environment), "the clone's own code was imported"
        print("| command | exit code | bytes printed |\n|---|--:|--:|")
        for arguments in COMMANDS:
            command = [str(fttui), *arguments]
            done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, check=False)
            print(f"| `fttui {' '.join(arguments)}` | {done.returncode} | {len(done.stdout):,} |", flush=True)
        os.environ.pop("PYTHONPATH", None)
        app = OnPty([str(fttui)], (80, 24), python=str(python), folder=str(empty), FTTUI_HOME=str(home))
        shown = app.read(60.0, until=b"Plan for which device?")
        app.close()
        print(f"\nThe wizard: {'its first screen is there' if shown else 'nothing came'}.")


if __name__ == "__main__":
    main()
