"""The data screen: findings with their fix, where rows are cut, and every row as the model sees it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen
from textual.widgets import Static
from textual.widgets._footer import FooterKey

from backend.data.browse import RowBrowser
from backend.data.finding import finding
from backend.data.report import DataReport
from backend.errors import UserError
from backend.model.find import find
from backend.model.info import ModelInfo
from tests.backend.data.rows import jsonl, pairs
from tests.tui import box, fixed
from tests.tui.test_data_command import CONFIG
from tui.app import WizardApp
from tui.findings import in_wizard
from tui.screens import looking
from tui.screens.data import DataScreen
from tui.screens.rows import RowsScreen
from tui.sources import Sources
from tui.widgets.entry import Entry
from tui.widgets.preview import Preview
from tui.widgets.prose import Prose

Compare = Callable[..., bool]
SIZES = [(80, 24), (120, 40), (200, 50)]
STOP = finding("stops", "mixed-purposes", "Two splits of different purpose are mixed.", "give one: --data a.jsonl")
KEYS = "API keys or access tokens stand in 3 rows (the first begins with sk-p…)."
FOUND = (
    finding("warns", "secrets", KEYS, "remove them"),
    finding("warns", "unused-columns", "The column context is not used.", "--mapping input=context", range(4800)),
    finding("notes", "near-duplicates", "12 rows are almost a copy of another row.", "keep one row of each kind"),
)


def report(reference: str, *more: Any) -> DataReport:
    return replace(box.report(reference), findings=(*more, *FOUND), source_rows=4810, refused_rows=10)


@pytest.fixture
def rows(tmp_path: Path) -> str:
    made = pairs(60)
    made[3]["answer"] = ""
    made[9] = dict(made[8])
    made[20]["answer"] = "A very long answer. " * 30
    made[30]["answer"] = "Something about \x1b[31mZebras 東京."
    return jsonl(tmp_path / "rows.jsonl", made)


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> ModelInfo:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_model.iterdir():
        if path.suffix in (".json", ".jinja") and path.name != "config.json":
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return find(str(folder))


def wizard(*more: Any, browse: Callable[..., RowBrowser] | None = None) -> WizardApp:
    changes = {"browse_data": browse} if browse else {}
    return box.at("data", compare=fixed.compare, inspect_data=lambda ref, *_: report(ref, *more), **changes)


def shown(pilot: Any) -> str:
    panel = pilot.app.screen.query_one(Preview)
    return f"{panel.border_title} | {panel.border_subtitle}\n{panel.query_one(Prose).render().plain}"


async def settled(pilot: Any) -> None:
    await box.settled(pilot)


@pytest.mark.parametrize("size", SIZES, ids=["80", "120", "200"])
def test_findings(size: tuple[int, int], snap_compare: Compare) -> None:
    assert snap_compare(wizard(STOP), terminal_size=size, run_before=settled)


@pytest.mark.parametrize("size", SIZES, ids=["80", "120", "200"])
def test_a_row(size: tuple[int, int], rows: str, model: ModelInfo, snap_compare: Compare) -> None:
    async def opened(pilot: Any) -> None:
        pilot.app.push_screen(RowsScreen(lambda: RowBrowser(rows, (), model, 60)))
        await box.settled(pilot)
        await pilot.press("c")
        await box.settled(pilot)

    assert snap_compare(wizard(), terminal_size=size, run_before=opened)


async def test_the_panel_has_findings_fixes_and_the_cut() -> None:
    app = wizard()
    app.journey.answer(max_length=1024)
    async with app.run_test(size=(120, 60)) as pilot:
        await box.settled(pilot)
        text = shown(pilot)
        assert "! API keys or access tokens stand in 3 rows" in text and "→ input=context (in columns)" in text
        assert text.index("! API keys") < text.index("· 12 rows are almost")
        assert "10 are not used" in text and "cut at 1,024 tokens" in text and "4,810 rows" in text


async def test_what_stops_a_run_is_said_and_nothing_goes_on() -> None:
    async with wizard(STOP).run_test(size=(120, 60)) as pilot:
        await box.settled(pilot)
        assert "✗ Two splits of different purpose are mixed." in shown(pilot)
        await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(pilot.app.screen, DataScreen)
        assert "Two splits of different purpose are mixed; give one" in str(
            [widget.render() for widget in pilot.app.screen.query("#picker-data *")]
        )


async def test_rows_are_browsed_and_sought(rows: str, model: ModelInfo) -> None:
    opened: list[tuple[Any, ...]] = []

    def browse(*arguments: Any) -> RowBrowser:
        opened.append(arguments)
        return RowBrowser(rows, (), model, 60)

    async with wizard(browse=browse).run_test(size=(100, 40)) as pilot:
        await box.settled(pilot)

        async def press(*keys: str) -> str:
            await pilot.press(*keys)
            await box.settled(pilot)
            return shown(pilot)

        first = await press("ctrl+b")
        assert opened == [("support.jsonl", (), opened[0][2], 2048, {})]
        assert "row 0 (from 0) of 60" in first and "⟦It is 0, I think.<|im_end|>⟧" in first
        assert "row 1 " in await press("n") and "row 0 " in await press("p") and "row 0 " in await press("p")
        cut = await press("c")
        assert "row 20 " in cut and "60 tokens" in cut and "cut" in cut
        assert "row 20 " in await press("c")  # the only one
        assert "row 3 " in await press("r") and "✗ not used: row 4 has no answer" in shown(pilot)
        assert "row 9 " in await press("d")
        sought = await press("slash", *"zebras", "enter")
        assert "row 30 " in sought and "\x1b" not in sought
        assert "there is none" in await press("slash", *"nowhere", "enter")
        assert "⟦ <|im_end|>" in await press("t")
        await press("escape")
        assert isinstance(pilot.app.screen, DataScreen)


async def test_data_that_went_away_is_said(rows: str) -> None:
    async with wizard(browse=lambda *_: RowBrowser("/nowhere/rows.jsonl")).run_test(size=(100, 40)) as pilot:
        await box.settled(pilot)
        await pilot.press("ctrl+b")
        await box.settled(pilot)
        assert "/nowhere/rows.jsonl does not exist" in shown(pilot)


@pytest.mark.parametrize("stops", [False, True])
async def test_enter_while_the_folder_is_listed_counts_once_the_data_is_read(stops: bool) -> None:
    """Enter is kept while files are listed and the highlighted one is read; a finding that stops a run still does."""
    listed = threading.Event()

    def data_here() -> list[Path]:
        listed.wait(10)
        return []

    found = (STOP,) if stops else ()
    app = box.at("data", compare=fixed.compare, data_here=data_here, inspect_data=lambda ref, *_: report(ref, *found))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter")
        listed.set()
        await box.settled(pilot)
        assert isinstance(app.screen, DataScreen) == stops


async def test_a_key_lays_the_screen_out_only_if_something_takes_other_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """While torch is imported in the background, a key waits for each layout, of which there were about four a key."""
    laid_out: list[object] = []
    refresh_layout = Screen._refresh_layout

    def counted(self: Screen[Any], *arguments: Any, **options: Any) -> None:
        laid_out.append(self)
        refresh_layout(self, *arguments, **options)

    async with wizard().run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        before = shown(pilot)
        monkeypatch.setattr(Screen, "_refresh_layout", counted)
        monkeypatch.setattr(looking, "_SAID_AFTER_SECONDS", 60.0)
        for _ in range(5):
            await pilot.press("x", "backspace")
        assert not laid_out and shown(pilot) == before
        await box.settled(pilot)
        assert not laid_out and shown(pilot) == before
        await pilot.press("y")  # the fields for rows and tokens replace the one for columns
        await box.settled(pilot)
        assert laid_out and pilot.app.screen.query_one("#row-rows").display


async def test_the_key_for_rows_is_shown_if_there_are_rows() -> None:
    def inspect(reference: str, *_: Any) -> DataReport:
        if reference == "wrong":
            raise UserError("data: wrong is no data; give a file", "data")
        return report(reference)

    def keys() -> set[str]:
        return {key.description for key in app.screen.query(FooterKey)}

    app = box.at("data", compare=fixed.compare, inspect_data=inspect)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        assert "rows" in keys()
        await pilot.press(*"wrong", "enter")
        await box.settled(pilot)
        assert "rows" not in keys()
        await pilot.press("escape")
        await box.settled(pilot)
        assert "rows" in keys()


@pytest.mark.parametrize(
    ("fix", "asked"),
    [
        ("--set objective=kto to learn from both kinds", "objective = kto (review step) to learn from both kinds"),
        ("--max-length up to 562, or shorter rows", "max_length (review step) up to 562, or shorter rows"),
        ("--effective-batch 8, or more rows", "effective_batch (review step) 8, or more rows"),
        ("map it: --mapping completion=COLUMN", "map it: completion=COLUMN (in columns)"),
        (
            "say which is which: --mapping 'prompt=the question' --mapping completion=bar",
            "say which is which: prompt=the question, completion=bar (in columns)",
        ),
        (
            "Mixing in text helps: --set replay_fraction=0.05.",
            "Mixing in text helps: replay_fraction = 0.05 (review step).",
        ),
        (
            "name the columns of text with --mapping to go on",
            "name the columns of text with the line for columns to go on",
        ),
        ("give one: --data a.jsonl", "give one: a.jsonl"),
        ("collect more rows", "collect more rows"),
    ],
)
def test_a_fix_names_what_the_wizard_asks_for(fix: str, asked: str) -> None:
    assert in_wizard(fix) == asked


async def test_an_error_of_the_data_names_the_line_of_the_screen_and_no_option() -> None:
    def unknown(*asked: object) -> DataReport:
        raise UserError("no prompt and answer was found; say which is which: --mapping text=bar", "data")

    app = box.at("data", inspect_data=unknown)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        shown = str(app.screen.query_one("#picker-data > .error", Static).render())
    assert "text=bar (in columns)" in " ".join(shown.split()) and "--" not in shown


async def test_a_complaint_goes_when_another_field_is_to_blame() -> None:
    app = box.at("data", predict_data=Sources().predict_data)
    app.journey.answer(data="", rows=1000, row_tokens=500)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)

        def complaints() -> list[str]:
            rows = (app.screen.query_one(f"#row-{name} > .error", Static) for name in ("rows", "row_tokens"))
            return [" ".join(str(row.render()).split()) if row.display else "" for row in rows]

        assert isinstance(app.screen, DataScreen)
        app.screen.query_one("#field-rows", Entry).value = "1,5"
        app.screen._read(0.0)
        await box.settled(pilot)
        assert "'1,5' won't do" in complaints()[0] and not complaints()[1]
        app.screen.query_one("#field-rows", Entry).value = "2,000"
        app.screen.query_one("#field-row_tokens", Entry).value = "1"
        app.screen._read(0.0)
        await box.settled(pilot)
        assert not complaints()[0] and "of at least 2" in complaints()[1]
