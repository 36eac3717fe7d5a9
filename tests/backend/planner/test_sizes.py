"""The grid of sizes agrees with what the planner says when those sizes are set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers, Method
from backend.planner.compare import compare
from backend.planner.sizes import Sizes, sizes
from tests.shapes import RTX_4090, model, rows

LONG = 140_000
"""Tokens per row: longer than any tried length, so that all sequences are full."""


BASE = replace(model(), shape=replace(model().shape, context=131_072))


def swept(method: Method, *settings: str) -> Sizes:
    answers = Answers(max_length=2048, effective_batch=64, set=settings)
    comparison = compare(answers, RTX_4090, BASE, rows(2000, LONG))
    return sizes(comparison, method)


def fit_with(method: Method, batch: int, length: int) -> str:
    """What the planner says when both are set."""
    answers = Answers(max_length=length, effective_batch=64, set=(f"micro_batch={batch}",))
    return compare(answers, RTX_4090, BASE, rows(2000, LONG)).methods[method].fit


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_what_is_said_to_fit_fits_when_it_is_set_and_one_more_does_not(method: Method) -> None:
    found = swept(method)
    assert found.longest and not found.is_context
    assert fit_with(method, 1, found.longest) == "fits"
    assert fit_with(method, 1, found.longest + 128) != "fits"
    if found.most_rows:
        assert fit_with(method, found.most_rows, 2048) == "fits"
    assert fit_with(method, found.most_rows + 1, 2048) != "fits"


def test_a_cell_of_the_sweep_is_the_planners_verdict() -> None:
    found = swept("qlora")
    for batch, length in [(1, 512), (4, 1024), (8, 4096), (32, 8192)]:
        assert found.cells[batch, length].fit == fit_with("qlora", batch, length), (batch, length)


def test_a_setting_that_the_user_set_is_kept() -> None:
    open_to_all, kept = swept("qlora"), swept("qlora", "checkpointing=false")
    assert any(cell.slower for cell in open_to_all.cells.values())
    assert kept.longest < open_to_all.longest and not any(cell.slower for cell in kept.cells.values())


def test_no_length_beyond_the_models_context_is_offered() -> None:
    short = replace(model(), shape=replace(model().shape, context=1000))
    comparison = compare(Answers(), RTX_4090, short, rows(2000, LONG))
    found = sizes(comparison, "qlora")
    assert found.longest == 1000 and found.is_context and max(found.lengths) == 1000


def test_the_reserve_is_the_planners_own() -> None:
    found = swept("qlora")
    tight = [cell for cell in found.cells.values() if cell.fit == "tight"]
    assert all(cell.peak_bytes > found.room_bytes - found.reserve_bytes for cell in tight)
    assert all(x.peak_bytes <= found.room_bytes - found.reserve_bytes for x in found.cells.values() if x.fit == "fits")
