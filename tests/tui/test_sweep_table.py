"""The table that `fttui sweep` ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.run.folder import RunFolder
from backend.sweep.sweep import Candidate
from tui import text_table
from tui.commands.sweep import _table

FAILURE = "memory ran out in step 1 with the leanest settings; choose a max_length of 1024"


def found() -> list[Candidate]:
    nothing: Any = None
    settings = [{"rank": rank, "learning_rate": rate} for rank in (8, 32) for rate in (1e-4, 2e-4)]
    names = [RunFolder(Path(f"/runs/20261124-101500-Llama-3.2-1B-Instruct-lora-{i}")) for i in range(4)]
    return [
        Candidate(
            *(one, nothing, nothing, names[at], 120 >> at, None if at == 3 else 1.0 + at / 10, 60.0 * (4 - at)),
            usd_per_second=0.001,
        )
        for at, one in enumerate(settings)
    ]


def test_a_line_a_setting_where_there_is_room() -> None:
    lines = list(_table(found(), text_table.UNLIMITED))
    assert len(lines) == 1 + 4 + 2 and lines[0].endswith("forgetting  run")
    assert lines[1].startswith("*  rank=8 learning_rate=0.0001   120  ") and lines[1].endswith("-lora-0")


def test_in_80_columns_no_line_is_longer_and_every_name_is_whole() -> None:
    tried = found()
    tried[3].failure = FAILURE
    lines = list(_table(tried, 80))
    assert max(map(len, lines)) <= 80
    assert all(any(one.folder and one.folder.name in line for line in lines) for one in tried)
    assert "leanest" in " ".join(lines)
    assert lines[-1] == "* no other setting has a lower loss in less time"
