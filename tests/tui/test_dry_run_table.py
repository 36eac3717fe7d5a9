"""The table of a dry run: small models have figures too."""

from __future__ import annotations

from backend.answers import METHODS
from backend.units import MIB
from tui.commands.dry_run import Checked, table


def test_small_parts_are_shown_and_a_zero_difference_has_no_minus() -> None:
    parts = {"weights": 512 * MIB, "adapters": 19 * MIB, "optimizer": 37 * MIB}
    one = Checked(568 * MIB, 568 * MIB - 1000, "loss", parts, {"loss": 568 * MIB}, 1.0)
    text = table(dict.fromkeys(METHODS, one))
    assert "0.0 GiB" not in text and "-0.0%" not in text
    assert "adapters    19 MiB" in text and "568 MiB, +0.0%" in text
    assert max(map(len, text.splitlines())) <= 72
