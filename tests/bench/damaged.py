"""Damaged and unusual models, and what the plan says of each: `make bench-damaged` prints the table of RESULTS.md."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from backend.errors import UserError
from backend.model.local import read_folder
from tests.backend.model.test_damage import ACCEPTED, REFUSED
from tests.tiny import make_model


def main() -> None:
    """Print what becomes of every case of tests/backend/model/test_damage.py."""
    edits = {case: edit for case, (edit, _) in REFUSED.items()} | ACCEPTED
    print("| model | what the plan says |\n|---|---|")
    with tempfile.TemporaryDirectory() as home:
        whole = make_model(Path(home) / "whole")
        for case, edit in edits.items():
            folder = Path(shutil.copytree(whole, Path(home) / "m"))
            edit(folder)
            try:
                said = f"planned: {read_folder(folder, 'm').shape.parameters:,} parameters"
            except UserError as error:
                said = "refused: " + str(error).replace(str(folder), "m").partition("; ")[0]  # without the fix
            print(f"| {case} | {said} |")
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
