import random

import pytest

from tui.panels.axes import GUTTER, x_axis
from tui.panels.columns import Columns, capacity_for
from tui.panels.lines import Row
from tui.panels.scale import Scale


@pytest.mark.parametrize(("low", "high", "rows"), [(0.83, 1.75, 7), (0.0001, 0.0002, 20), (2.0, 2.0, 5), (3, 900, 30)])
def test_a_scale_contains_its_values_and_a_few_ticks(low: float, high: float, rows: int) -> None:
    scale = Scale.around(low, high, rows)
    assert scale.low < low <= high < scale.high
    assert 1 <= len(list(scale.ticks())) <= rows
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks())


def test_labels_have_the_decimals_that_tell_them_apart() -> None:
    scale = Scale.around(0.83, 1.75, 20)
    labels = [scale.label(tick) for tick in scale.ticks()]
    assert len(set(labels)) == len(labels)
    assert [float(label) for label in labels] == pytest.approx(list(scale.ticks()))


def test_a_scale_is_kept_while_the_values_fit_and_fill_it() -> None:
    scale = Scale.around(0.8, 1.8, 10)
    assert scale.kept_for(0.8, 1.8)
    assert not scale.kept_for(0.8, 2.8)
    assert not scale.kept_for(0.8, 0.9)


def test_positions_run_from_the_top_and_stay_inside() -> None:
    scale = Scale(0.0, 1.0, 0.5)
    assert [scale.position(x, 11) for x in (1.0, 0.5, 0.0, 7.0, -7.0)] == [0, 5, 10, 0, 10]


def test_capacity_doubles_and_ends_with_the_run() -> None:
    assert [capacity_for(step, 0) for step in (1, 64, 65, 129)] == [64, 64, 128, 256]
    assert capacity_for(10, 36) == 36
    assert capacity_for(70, 100) == 100


def test_columns_are_the_same_point_by_point_and_at_once() -> None:
    losses = [random.Random(3).gauss(1, 0.1) for _ in range(500)]
    steps = list(range(1, 501))
    at_once, slowly = Columns(80, 512, 12), Columns(80, 512, 12)
    at_once.add(steps, losses)
    for i in range(1, 501):
        slowly.add(steps[:i], losses[:i])
    assert (at_once.low, at_once.high, at_once.smooth) == (slowly.low, slowly.high, slowly.smooth)


def test_a_column_keeps_its_extremes() -> None:
    columns = Columns(1, 4, 4)
    columns.add([1, 2, 3, 4], [2.0, 9.0, 1.0, 3.0])
    assert (columns.low, columns.high) == ([1.0], [9.0])


def test_the_average_starts_at_the_first_value() -> None:
    columns = Columns(8, 8, 20)
    columns.add([1], [2.5])
    assert columns.average == pytest.approx(2.5)


def shown(row: Row) -> str:
    return "".join(text for text, _ in row)


def test_steps_are_above_their_ticks() -> None:
    columns = Columns(100, 3, 4)
    assert [columns.column(step) for step in (0, 1, 2, 3)] == [0, 33, 66, 99]
    assert shown(x_axis(3, 50))[GUTTER:] == f"{'0':<16}1{'3 steps':>33}"
    assert shown(x_axis(4, 51))[GUTTER:].index("2") == Columns(102, 4, 4).column(2) // 2


@pytest.mark.parametrize("width", [5, 9, 12, 16, 30])
@pytest.mark.parametrize("capacity", [1, 2, 40, 4080, 1_000_000])
def test_labels_of_ticks_never_overlap(capacity: int, width: int) -> None:
    words = shown(x_axis(capacity, width)).split()
    assert f"{capacity:,}" in words
    assert words[0] == "0" or width < 12
    assert set(words) <= {"0", f"{capacity // 2:,}", f"{capacity:,}", "steps"}
