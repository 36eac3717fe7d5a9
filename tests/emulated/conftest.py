"""The emulated driver for these tests: built once, or the reason why it can't be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulated import boxes, build

PYTHON = os.environ.get("CUDA_PYTHON") or sys.executable
"""A Python with a CUDA build of torch and with what the project needs; by default this one."""
In = Callable[..., dict[str, Any]]


def found_libraries() -> Path:
    """The libraries for PYTHON's torch. Raises CannotBuild."""
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    done = subprocess.run([PYTHON, "-c", where], capture_output=True, text=True, check=True)
    return build.libraries(Path(done.stdout.strip()))


@pytest.fixture(scope="session")
def libraries() -> Path:
    """Skips what needs it, with the reason, if it can't be built here."""
    try:
        return found_libraries()
    except build.CannotBuild as missing:
        pytest.skip(f"no emulated CUDA: {missing}; CUDA_PYTHON=/path/to/python names one with a CUDA build of torch")


@pytest.fixture
def inside(libraries: Path, fttui_home: Path) -> In:
    """`inside("T4", "look")` runs that module in that box and returns what it says."""

    def run(box: str | boxes.Box, module: str, *arguments: str) -> dict[str, Any]:
        chosen = boxes.BOXES[box] if isinstance(box, str) else box
        command = [PYTHON, "-m", f"tests.emulated.{module}", *arguments]
        done = boxes.run(chosen, libraries, command)
        assert done.returncode == 0, done.stderr[-3000:]
        said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return said

    return run
