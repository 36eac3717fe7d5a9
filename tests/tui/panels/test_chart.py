import random

import pytest

from tui.panels import dots
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
    assert [scale.dot(x, 4) for x in (1.0, 0.5, 0.0)] == [0, 8, 15]
    assert [scale.row(x, 4) for x in (1.0, 0.5, 0.0)] == [0, 2, 3]
    assert [scale.holds(x) for x in (1.0, 0.0, 1.1, -0.1)] == [True, True, False, False]


def test_capacity_doubles_and_ends_with_the_run() -> None:
    assert [capacity_for(step, 0) for step in (1, 64, 65, 129)] == [64, 64, 128, 256]
    assert capacity_for(10, 36) == 36
    assert capacity_for(70, 100) == 100


def test_columns_are_the_same_point_by_point_and_at_once() -> None:
    losses = [random.Random(3).gauss(1, 0.1) for _ in range(500)]
    steps = list(range(1, 501))
    at_once, slowly = Columns(80, 512), Columns(80, 512)
    at_once.add(steps, losses)
    for i in range(1, 501):
        slowly.add(steps[:i], losses[:i])
    assert (at_once.low, at_once.high, at_once.smooth) == (slowly.low, slowly.high, slowly.smooth)


def test_a_column_keeps_its_extremes() -> None:
    columns = Columns(1, 4)
    columns.add([1, 2, 3, 4], [2.0, 9.0, 1.0, 3.0])
    assert (columns.low, columns.high) == ([1.0], [9.0])


def test_the_average_starts_at_the_first_value() -> None:
    columns = Columns(8, 8)
    columns.add([1], [2.5])
    assert columns.average == pytest.approx(2.5)


def test_the_average_of_a_straight_fall_is_the_loss_itself_up_to_its_end() -> None:
    losses = [9.0 - 0.01 * i for i in range(400)]
    columns = Columns(100, 400)
    columns.add(list(range(1, 401)), losses)
    assert columns.average == pytest.approx(losses[-1])
    drawn = [x for x in columns.smooth if x is not None]
    assert drawn[0] == pytest.approx(losses[columns._last[columns.column(1)]], abs=0.01)
    assert all(
        low - 1e-9 <= x <= high + 1e-9
        for x, low, high in zip(columns.smooth, columns.low, columns.high, strict=True)
        if x and low and high
    )


@pytest.mark.parametrize("rows", [3, 7, 20])
def test_marks_and_labels_are_in_the_row_of_the_dots(rows: int) -> None:
    scale = Scale.around(0.83, 1.75, rows)
    for value in [*scale.ticks(), *(0.83 + 0.01 * i for i in range(90))]:
        grid = dots.ranges([value], [value], scale, rows)
        assert [y for y, row in enumerate(grid) if row] == [scale.row(value, rows)]


def test_what_is_beyond_the_scale_has_no_dots() -> None:
    scale = Scale(1.0, 2.0, 0.5)
    assert not any(dots.ranges([5.0, None, 0.1], [6.0, None, 0.2], scale, 5))


@pytest.mark.parametrize(
    ("low", "high", "rows", "label"),
    [(0.8, 1.8, 9, "1.0"), (0, 2e-4, 9, "1e-4"), (1e5, 2e5, 9, "150k"), (2, 9, 9, "5")],
)
def test_labels_are_short_enough_for_the_axis(low: float, high: float, rows: int, label: str) -> None:
    labels = [Scale.around(low, high, rows).label(x) for x in Scale.around(low, high, rows).ticks()]
    assert label in labels and all(len(x) <= GUTTER - 2 for x in labels)


def shown(row: Row) -> str:
    return "".join(text for text, _ in row)


def test_steps_are_above_their_ticks() -> None:
    columns = Columns(100, 3)
    assert [columns.column(step) for step in (0, 1, 2, 3)] == [0, 33, 66, 99]
    assert shown(x_axis(3, 50))[GUTTER:] == f"{'0':<16}1{'3 steps':>33}"
    assert shown(x_axis(4, 51))[GUTTER:].index("2") == Columns(102, 4).column(2) // 2


@pytest.mark.parametrize("width", [5, 9, 12, 16, 30])
@pytest.mark.parametrize("capacity", [1, 2, 40, 4080, 1_000_000])
def test_labels_of_ticks_never_overlap(capacity: int, width: int) -> None:
    words = shown(x_axis(capacity, width)).split()
    assert f"{capacity:,}" in words
    assert words[0] == "0" or width < 12
    assert set(words) <= {"0", f"{capacity // 2:,}", f"{capacity:,}", "steps"}
