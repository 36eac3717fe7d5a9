"""What still fits, from the compare screen: the grid shows the given figures, and the reserve is named."""

from __future__ import annotations

from typing import Any

from backend.planner.sizes import Cell, Sizes
from tests.tui import box, fixed
from tui.screens.sizes import SizesScreen, grid
from tui.widgets.prose import Prose

GIB = 2**30


def sizes(*, most_rows: int = 2, longest: int = 4096) -> Sizes:
    """Three lengths and three batches: 4 GiB a row of 1,024 tokens."""
    cells = {}
    for batch in (1, 2, 4):
        for length in (1024, 2048, 4096):
            peak = 4 * batch * length // 1024
            cells[batch, length] = Cell(peak * GIB, "fits" if peak <= 16 else "no", peak > 8)
    return Sizes(cells, (1, 2, 4), (1024, 2048, 4096), (1, 2048), most_rows, longest, False, 20 * GIB, 2 * GIB)


def test_the_plan_is_marked_and_each_cell_has_its_peak_and_a_sign() -> None:
    lines = grid(sizes(), 74).plain.splitlines()
    assert "largest micro-batch is 2 at a time" in lines[0] + lines[1] and "4,096 tokens" in lines[0] + lines[1]
    (planned,) = [line for line in lines if line.strip().startswith("2,048")]
    assert planned.split() == ["2,048", "[8.0", "✓]", "16.0r", "✓", "32.0r", "✗"]
    assert "✓ leaves 2.0 GiB in reserve" in " ".join(lines)


def test_a_narrow_terminal_drops_the_largest_batches_and_keeps_the_plans() -> None:
    lines = grid(sizes(), 30).plain.splitlines()
    assert next(line for line in lines if "row" in line.split()).split() == ["tokens", "1", "row", "2", "rows"]
    assert all(len(line) <= 30 for line in lines)


def test_when_nothing_fits_it_says_so() -> None:
    assert grid(sizes(most_rows=0, longest=0), 74).plain.startswith("Not even one short sequence fits.")
    assert "not even one at a time" in " ".join(grid(sizes(most_rows=0), 74).plain.split())


def test_sizes_screen(snap_compare: Any) -> None:
    async def show(pilot: Any) -> None:
        await box.settled(pilot)
        await pilot.press("b")
        await box.settled(pilot)

    app = box.at("compare", compare=fixed.compare, sizes=lambda *_: sizes())
    assert snap_compare(app, terminal_size=(80, 24), run_before=show)


async def test_b_shows_it_for_the_selected_method_and_closes_it() -> None:
    asked: list[str] = []

    def find(_: object, method: str, __: object) -> Sizes:
        asked.append(method)
        return sizes()

    app = box.at("compare", sizes=find)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("right", "b")
        await box.settled(pilot)
        assert isinstance(app.screen, SizesScreen) and asked == ["full"]
        assert "[8.0 ✓]" in str(app.screen.query_one(Prose).render())
        await pilot.press("b")
        assert not isinstance(app.screen, SizesScreen)
