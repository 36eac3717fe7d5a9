"""The table of a dry run: small models have figures too."""

from __future__ import annotations

from backend.answers import METHODS
from backend.units import GIB, MIB
from tui.commands.dry_run import Checked, table


def test_small_parts_are_shown_and_a_zero_difference_has_no_minus() -> None:
    parts = {"weights": 512 * MIB, "adapters": 19 * MIB, "optimizer": 37 * MIB}
    one = Checked(568 * MIB, 568 * MIB - 1000, "loss", parts, {"loss": 568 * MIB}, 1.0)
    text = table(dict.fromkeys(METHODS, one))
    assert "0.0 GiB" not in text and "-0.0%" not in text
    assert "adapters    19 MiB" in text and "568 MiB, +0.0%" in text
    assert max(map(len, text.splitlines())) <= 72


def test_a_sharded_method_has_the_figure_of_the_comparison_too_and_says_why_they_differ() -> None:
    parts = {"weights": 60 * GIB}
    one = Checked(75 * GIB, 75 * GIB, "top", parts, {"top": 75 * GIB}, 1.0, 32 * GIB, 2)
    full = Checked(75 * GIB, 75 * GIB, "top", parts, {"top": 75 * GIB}, 1.0, 33 * GIB, 2, True)
    text = table({"lora": one, "qlora": one, "full": full})
    row = next(line for line in text.splitlines() if line.startswith("each of 2"))
    assert row.split()[3:] == ["32.0", "GiB", "32.0", "GiB", "33.0", "GiB"]
    said = " ".join(text.split())
    assert "Full is sharded over 2 devices in the run" in said and "LoRA is sharded" not in said
