"""`fttui doctor`: what this box can do, what is missing, and the command that fixes it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from backend.errors import TRAINING_FAILED
from tui.plain import in_json, plain

if TYPE_CHECKING:
    from backend.doctor import Check

SIGNS = {"ok": "ok  ", "warn": "warn", "missing": "MISS"}


def doctor(*, run: str | None = None, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Check this box: Python, packages, driver against torch, GPUs, a real 4-bit step, memory, disk, the demo model.

    Exit code 4 if something that training needs is missing.

    For example:

        fttui doctor
        fttui doctor --json
        fttui doctor --run 20261124-101500-demo-lora

    Args:
        run: Check the folder of this run instead: plan, events, versions, links, hashes of checkpoints.
        json: Print a JSON array.
    """
    from backend import kept_names

    found = _checked(run)
    if json:
        objects = kept_names.outside([dataclasses.asdict(check) for check in found])
        print(in_json(msgspec.json.format(msgspec.json.encode(objects), indent=2).decode()))
    else:
        width = max(len(check.name) for check in found)
        for check in found:
            print(f"{SIGNS[check.state]}  {check.name:{width}}  {plain(check.detail, lines=False)}")
            if check.fix:
                print(f"{'':6}{'':{width}}  -> {plain(check.fix, lines=False)}")
    return TRAINING_FAILED if any(check.state == "missing" for check in found) else 0


def _checked(run: str | None) -> list[Check]:
    if run is None:
        from backend.doctor import checks

        return checks()
    from backend import run_check
    from backend.run.folder import RunFolder

    return run_check.checks(RunFolder.find(run))
