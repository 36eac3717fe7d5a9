from textual.app import App, ComposeResult
from textual.geometry import Region

from tests.tui.stage import Stage
from tui.panels.lines import Lines, Row, cells, changed_runs


def text_of(row: Row, width: int) -> str:
    return "".join(text for text, _ in cells(row, width))


def test_a_row_is_cut_and_filled_to_its_width() -> None:
    assert text_of((("abc", ""), ("def", "faint")), 5) == "abcde"
    assert text_of((("abc", ""),), 5) == "abc  "


def test_wide_characters_take_two_cells_and_are_never_halved() -> None:
    assert [text for text, _ in cells((("a中b", ""),), 4)] == ["a", "中", "", "b"]
    assert [text for text, _ in cells((("ab中", ""),), 3)] == ["a", "b", " "]


def test_combining_marks_stay_with_their_letter() -> None:
    assert [text for text, _ in cells((("e\u0301x", ""),), 2)] == ["e\u0301", "x"]


def runs(before: str, after: str, width: int = 30) -> list[tuple[int, int]]:
    return list(changed_runs(cells(((before, ""),), width), cells(((after, ""),), width)))


def test_only_changed_cells_are_repainted() -> None:
    assert runs("step 1,203 of 3,600", "step 1,204 of 3,600") == [(9, 1)]
    assert runs("same", "same") == []


def test_near_changes_are_one_run_and_far_ones_two() -> None:
    assert runs("a..b", "A..B") == [(0, 4)]
    assert runs("a....................b", "A....................B") == [(0, 1), (21, 1)]


def test_a_run_takes_a_wide_character_whole() -> None:
    assert runs("中x", "国x") == [(0, 2)]
    assert runs("ab", "中") == [(0, 2)]


async def test_set_rows_asks_for_a_repaint_of_the_difference() -> None:
    asked: list[Region] = []

    class Watched(Lines):
        def refresh(self, *regions: Region, **options: bool) -> "Watched":
            asked.extend(regions)
            super().refresh(*regions, **options)
            return self

    class Shown(Stage):
        def compose(self) -> ComposeResult:
            yield Watched()

    app: App[str] = Shown(None)
    async with app.run_test(size=(20, 3)):
        lines = app.query_one(Watched)
        lines.set_rows([(("loss 0.912", ""),), (("same", ""),)])
        asked.clear()
        lines.set_rows([(("loss 0.913", ""),), (("same", ""),)])
        assert asked == [Region(9, 0, 1, 1)]
        assert lines.render_line(0).text == "loss 0.913".ljust(20)
