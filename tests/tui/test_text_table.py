from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.planner.compare import compare
from backend.run.summary import Summary
from backend.units import GIB
from tests.shapes import H100, LLAMA_8B, model, rows
from tui import text_table
from tui.commands import plan_table, runs


def test_columns_are_as_wide_as_their_content_and_never_touch() -> None:
    table = list(text_table.lines([("a", "37 m 51 s", "x"), ("bcd", "1", "y")], 80))
    assert table == ["a    37 m 51 s  x", "bcd  1          y"]


def test_a_cell_that_is_too_long_folds_between_words_and_wide_letters_count_twice() -> None:
    table = list(text_table.lines([("name", "one two three four five six"), ("数据", "x")], 20))
    assert table == ["name  one two three", "      four five six", "数据  x"]
    assert max(map(len, text_table.lines([("x" * 50, "y" * 50, "z")], 40))) <= 40


@pytest.mark.parametrize("columns", [80, 100, 132])
def test_columns_of_a_plan_never_run_together(columns: int) -> None:
    """Times between a quarter of an hour and two hours have the longest ranges."""
    answers = Answers(model="8b", data="x.jsonl")
    comparison = compare(answers, replace(H100, count=1), model(LLAMA_8B), rows(3000))
    text = plan_table.table(comparison, columns)
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    times = lines[next(i for i, line in enumerate(lines) if line.startswith("time")) + 1]
    assert len([part for part in times.split("  ") if part.strip()]) == 3
    assert "GiB" in next(line for line in lines if line.startswith("fits"))


RUN = Summary("20261124-154512-Llama-3.1-8B-Instruct-qlora", "running", "qlora", "m", "d", 120, 900, 2.104, 1.213,
              13 * GIB, 12 * GIB, 3.1, 2.9, 1.4, 1.5, 2700.0, 2650.0)  # fmt: skip


@pytest.mark.parametrize("columns", [76, 80, 120])
def test_runs_fit_the_terminal_with_a_unit_beside_each_figure(columns: int) -> None:
    lines = list(runs._table([RUN, replace(RUN, name="x", cost_usd=None)], columns))
    assert max(map(len, lines)) <= columns
    text = " ".join("\n".join(lines).split())
    assert all(
        part in text for part in ("running, 120 of 900 steps", "13.0 GiB", "2 h 54 m", "2,650 tok/s", "measured")
    )


def test_runs_are_a_line_each_for_a_pipe() -> None:
    head, line = runs._table([RUN], text_table.UNLIMITED)
    assert "peak, predicted" in head and line.startswith(RUN.name) and "12.0 GiB, 13.0 GiB" in line
