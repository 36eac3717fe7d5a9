"""Figures as words."""

from __future__ import annotations

import pytest

from backend import units


@pytest.mark.parametrize(
    ("per_second", "words"),
    [(2870.4, "2,870"), (9.96, "10"), (4.31, "4.3"), (0.21, "0.2"), (0.0213, "0.021"), (0.0, "0")],
)
def test_a_rate_is_never_rounded_to_nothing(per_second: float, words: str) -> None:
    assert units.rate(per_second) == words


@pytest.mark.parametrize(
    ("amount", "words"), [(0, "$0"), (0.004, "$0.004"), (0.0121, "$0.012"), (0.42, "$0.42"), (40, "$40"), (182, "$182")]
)
def test_small_amounts_have_a_third_figure(amount: float, words: str) -> None:
    assert units.usd(amount) == words


def test_a_small_file_is_not_shown_as_zero() -> None:
    assert [units.disk(x) for x in (0, 46, 1200, 168e6)] == ["0 B", "46 B", "1 kB", "168 MB"]


def test_one_row_is_no_rows() -> None:
    assert [units.counted(x, "row") for x in (0, 1, 4800)] == ["0 rows", "1 row", "4,800 rows"]


def test_memory_near_a_gib_has_the_unit_of_its_neighbours() -> None:
    assert [units.memory(x * units.MIB) for x in (310, 999, 1001, 1024)] == ["310 MiB", "999 MiB", "1.0 GiB", "1.0 GiB"]
