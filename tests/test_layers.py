"""Who may load what, checked on a running interpreter (the static contracts are in pyproject.toml)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOADS_TORCH = ("backend/training/", "backend/export/check.py", "backend/dryrun/", "backend/launch/rank_training.py")
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "datasets"}


def modules_after(code: str, home: Path) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys, json; print(); print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"FTTUI_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def command(*arguments: str) -> str:
    return f"from tui.cli import run; run({list(arguments)!r})"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("plan", "--help"),
        ("train", "--help"),
        ("plan", "--model", "8b", "--gpu", "4090", "--rows", "1000", "--row-tokens", "300", "--budget", "40", "--json"),
        ("plan", "--model", "demo", "--data", "demo"),
        ("presets",),
        ("runs", "--json"),
        ("export", "--help"),
        ("sweep", "--help"),
        ("chat", "--help"),
    ],
    ids=" ".join,
)
def test_no_command_before_training_loads_torch_or_a_screen(arguments: tuple[str, ...], tmp_path: Path) -> None:
    loaded = modules_after(command(*arguments), tmp_path)
    assert "backend" in loaded or "--help" in arguments
    assert not loaded & (HEAVY | {"textual"})


def test_the_wizard_loads_no_torch(tmp_path: Path) -> None:
    loaded = modules_after("import tui.app, tui.process, tui.screens.live, tui.screens.result", tmp_path)
    assert "textual" in loaded
    assert not loaded & HEAVY


def test_the_backend_knows_no_screen(tmp_path: Path) -> None:
    modules = sorted(
        str(path.relative_to(ROOT).with_suffix("")).replace(os.sep, ".")
        for path in (ROOT / "backend").rglob("*.py")
        if not path.relative_to(ROOT).as_posix().startswith(LOADS_TORCH) and path.name != "__init__.py"
    )
    loaded = modules_after("\n".join(f"import {module}" for module in modules), tmp_path)
    assert not loaded & (HEAVY | {"textual", "rich", "tui", "cyclopts"})
