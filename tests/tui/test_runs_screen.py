"""The table of runs: filter, sort, mark and compare; and two runs in one chart."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from textual.events import Key
from textual.widgets import DataTable, Static
from textual.widgets._footer import FooterKey

from backend.errors import UserError
from backend.launch.queue import waiting
from backend.run import folder as run_folder
from backend.run import keeping
from backend.run.folder import RunFolder
from backend.run.summary import Summaries, Summary
from tests.tui import box
from tests.tui.nasty import NASTY
from tests.tui.stage import Stage
from tests.tui.story import START, Story, finish, make_run, tell
from tests.tui.test_live_screen import utc
from tests.tui.test_wizard_snapshots import RUNS
from tui.panels.overlay import Differences, OverlayCurve
from tui.panels.panel import Panel
from tui.screens import runs
from tui.screens.overlay import OverlayScreen
from tui.screens.runs import RunsScreen
from tui.widgets.runs_rows import MARK, chosen, row

__all__ = ["utc"]
SIZES = [(80, 24), (120, 40), (200, 50)]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(run_folder, "all_runs", lambda: RUNS)
    monkeypatch.setattr(Summaries, "read", lambda self, found: found)
    return Stage(RunsScreen())


def names(app: Stage) -> list[str]:
    return [str(key.value) for key in app.screen.query_one(DataTable).rows]


async def test_typing_filters_and_esc_brings_all_back(table: Stage) -> None:
    async with table.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        assert len(names(table)) == 4
        await pilot.press("slash", *"demo failed")
        assert names(table) == ["20261122-090210-demo-full"]
        await pilot.press("enter")
        assert table.screen.query_one(DataTable).has_focus
        await pilot.press("escape")
        assert len(names(table)) == 4


async def test_s_sorts_by_the_next_column_and_what_has_no_figure_comes_last(table: Stage) -> None:
    async with table.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        assert names(table)[0] == RUNS[0].name, "the newest first"
        await pilot.press("s", "s")
        assert names(table)[:2] == [RUNS[1].name, RUNS[0].name], "by held-out loss, the lowest first"
        assert "by held-out loss ▴" in str(table.screen.query_one("#runs-note", Static).content)
        await pilot.press("S")
        assert names(table)[:2] == [RUNS[0].name, RUNS[1].name]


@pytest.mark.parametrize("typed", ["qlora", "QLORA support", "20261124 running"])
def test_words_in_any_order_of_a_line(typed: str) -> None:
    assert chosen(RUNS, typed, "run", True) == [RUNS[0]]


def test_outside_text_in_a_line_is_plain() -> None:
    for text in NASTY.values():
        cells = row(Summary(text, "done", "lora", text, text), 40, {}, marked=True)
        assert not any("\x1b" in cell.plain or "\x9b" in cell.plain for cell in cells)


async def test_a_marked_run_keeps_its_name_and_the_cursor_moves_on(table: Stage) -> None:
    async with table.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("space")
        shown = table.screen.query_one(DataTable)
        assert shown.cursor_row == 1
        name, state, *_ = shown.get_row(RUNS[0].name)
        assert name.plain == row(RUNS[0], 26, {}, marked=False)[0].plain
        assert MARK in state.plain and MARK not in shown.get_row(RUNS[1].name)[1].plain


def two_runs() -> tuple[RunFolder, RunFolder]:
    first, second = make_run("qlora"), make_run("lora", model="llama-3.2-1b")
    long, short = Story(), Story(total_steps=2000, seed=5)
    at = tell(first, long.begin(), long.steps(3600))
    finish(first, at, "done", tokens_per_second=2855.0)
    at = tell(second, short.begin(), short.steps(1700))
    finish(second, at, "stopped", tokens_per_second=6120.0)
    return first, second


async def test_c_compares_the_marked_run_and_the_one_under_the_cursor() -> None:
    first, second = two_runs()
    app = Stage(RunsScreen())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("c")
        assert isinstance(app.screen, RunsScreen), "one run is not two"
        await pilot.press("space", "down", "c")
        await pilot.pause()
        assert isinstance(app.screen, OverlayScreen)
        shown = [app.screen.query_one("#names").render_line(y).text for y in (0, 1)]
    assert any(first.name in line for line in shown)
    assert any(second.name in line for line in shown)


async def test_four_marked_runs_are_in_one_chart_with_a_line_and_a_mark_each() -> None:
    for seed in range(4):
        folder, story = make_run("lora"), Story(total_steps=400, seed=seed)
        finish(folder, tell(folder, story.begin(), story.steps(400 - 40 * seed)), "done")
    app = Stage(RunsScreen(), ascii=True)
    async with app.run_test(size=(200, 50)) as pilot:
        await box.settled(pilot)
        await pilot.press(*["space"] * 4, "c")
        await pilot.pause()
        assert isinstance(app.screen, OverlayScreen)
        assert app.screen.query_one("#names").size.height == 4
        text = "\n".join("".join(x.text for x in strip) for strip in app.screen._compositor.render_strips())
    assert all(f" {name} " in text for name in "ABCD") and "400 of 400" in text and "280 of 400" in text


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_overlay(size: tuple[int, int], snap_compare: Any) -> None:
    assert snap_compare(Stage(OverlayScreen(two_runs(), clock=lambda: START)), terminal_size=size)


async def test_only_what_differs_is_listed() -> None:
    app = Stage(OverlayScreen(two_runs()))
    async with app.run_test(size=(120, 40)):
        panel = app.screen.query_one(Differences)
        text = "\n".join(panel.render_line(y).text for y in range(panel.size.height))
    assert "method" in text and "held-out loss" in text and "llama-3.2-1b" in text
    assert "learning_rate" not in text


async def test_a_run_compared_with_one_that_has_not_started() -> None:
    first, _ = two_runs()
    app = Stage(OverlayScreen((first, make_run())))
    async with app.run_test(size=(80, 24)):
        assert "no loss yet" in app.screen.query_one(OverlayCurve).render_line(1).text


async def test_the_second_curve_differs_without_colour_in_ascii_too() -> None:
    app = Stage(OverlayScreen(two_runs()), ascii=True)
    async with app.run_test(size=(80, 24)):
        assert all(panel.size.height for panel in app.screen.query(Panel))
        lines = ["".join(x.text for x in strip) for strip in app.screen._compositor.render_strips()]
    text = "\n".join(lines)
    assert "**" in text and "oo" in text and text.isascii()


def a_run(state: str = "stopped") -> RunFolder:
    folder, story = make_run(), Story(total_steps=40)
    at = tell(folder, story.begin(), story.steps(20))
    if state != "running":
        finish(folder, at, state)
    return folder


async def test_a_run_is_deleted_after_a_question() -> None:
    folder = a_run()
    app = Stage(RunsScreen())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("d")
        await pilot.pause()
        await pilot.press("enter")
        await box.settled(pilot)
        assert folder.path.exists(), "Enter is no"
        await pilot.press("d", "y")
        await box.settled(pilot)
        assert not folder.path.exists() and names(app) == []


async def test_a_run_is_noted_and_renamed_and_the_list_shows_both() -> None:
    folder = a_run()
    app = Stage(RunsScreen())
    async with app.run_test(size=(120, 40)) as pilot:
        await box.settled(pilot)
        await pilot.press("n", *"best so far", "enter")
        await box.settled(pilot)
        await pilot.press("e")
        await pilot.pause()
        await pilot.press("ctrl+u", *"a/b", "enter")
        await pilot.pause()
        assert "won't do" in str(app.screen.query_one("#row-line > .error", Static).render())
        await pilot.press("ctrl+u", *"support-bot", "enter")
        await box.settled(pilot)
        name = f"{folder.name[:16]}support-bot"
        assert names(app) == [name] and f"it is {name} now" in box.said(app)
        assert "best so far · QLoRA of" in str(app.screen.query_one(DataTable).get_row_at(0)[0])


async def test_a_run_that_trains_is_stopped_and_neither_renamed_nor_deleted() -> None:
    folder = a_run("running")
    app = Stage(RunsScreen())
    with folder.hold():
        async with app.run_test(size=(80, 24)) as pilot:
            await box.settled(pilot)
            await pilot.press("d", "e", "r")
            assert isinstance(app.screen, RunsScreen)
            await pilot.press("x")
            await pilot.pause()
            await pilot.press("s")
            await box.settled(pilot)
            assert "stops at its next step" in box.said(app)
    assert "stop" in folder.commands_file.read_text()


async def test_a_stopped_run_is_resumed_by_the_command_that_one_would_type(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = a_run(), []

    def instead(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "run x trains in the background\n", "")

    monkeypatch.setattr(subprocess, "run", instead)
    app = Stage(RunsScreen())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("r")
        await box.settled(pilot)
        assert asked[0][1:] == ["-m", "tui", "resume", folder.name, "--detach"]
        assert "trains in the background" in box.said(app)


async def test_a_resumed_run_that_fails_at_once_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    a_run()
    ended = subprocess.CompletedProcess([], 2, "run x has ended; `fttui watch x` shows how\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    app = Stage(RunsScreen())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("r")
        await box.settled(pilot)
        assert "`fttui watch x` shows how" in box.said(app)


@pytest.mark.parametrize(("lines", "shown"), [(40, True), (24, False)])
async def test_a_tall_screen_describes_the_run_under_the_cursor(lines: int, shown: bool) -> None:
    folder = a_run()
    keeping.write_note(folder, "with the long answers")
    app = Stage(RunsScreen())
    async with app.run_test(size=(120, lines)) as pilot:
        await box.settled(pilot)
        detail = app.screen.query_one("#runs-detail", Static)
        assert detail.display == shown
        assert "predicted $1.40" in str(detail.content) and "with the long answers" in str(detail.content)


async def test_a_screen_that_grows_tall_describes_it_too() -> None:
    a_run()
    app = Stage(RunsScreen())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        detail = app.screen.query_one("#runs-detail", Static)
        assert not detail.display
        await pilot.resize_terminal(120, 40)
        await box.settled(pilot)
        assert detail.display


async def test_the_list_follows_a_run_that_goes_on_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_READ_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(runs, "_LEAST_PAUSE", 0.0)
    folder, story = make_run(), Story(total_steps=40)
    tell(folder, story.begin(), story.steps(10))
    app = Stage(RunsScreen())

    async def shows(pilot: Any, *words: str) -> None:
        until, said = time.monotonic() + 10.0, ""
        while not all(word in said for word in words):
            assert time.monotonic() < until, said
            await pilot.pause(0.05)
            table = app.screen.query_one(DataTable)
            said = " ".join(map(str, table.get_row_at(0))) if table.row_count else ""

    async with app.run_test(size=(120, 40)) as pilot:
        with folder.hold():
            await shows(pilot, "running", "10 of 40")
            end = tell(folder, story.steps(20))
            await shows(pilot, "running", "20 of 40")
            finish(folder, end, "stopped")
        await shows(pilot, "stopped")


async def test_the_footer_shows_whole_keys_and_the_help_that_lists_the_others() -> None:
    a_run()
    app = Stage(RunsScreen())

    def keys() -> list[FooterKey]:
        return list(app.screen.query(FooterKey))

    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        shown = {key.description for key in keys()}
        assert {"open", "back", "compare", "resume", "help"} <= shown and "sort" not in shown
        assert all(key.region.right - 1 <= 80 for key in keys())  # the last one ends with a space
        await pilot.resize_terminal(140, 24)
        await box.settled(pilot)
        assert {"open", "delete", "sort", "help"} <= {key.description for key in keys()}


async def test_a_run_that_waits_is_queued_and_keeps_its_place_under_another_name() -> None:
    first, second = make_run("lora"), make_run("lora")
    waiting.add(first)
    waiting.add(second)
    app = Stage(RunsScreen())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        assert "○ queued" in str(app.screen.query_one(DataTable).get_row(first.name)[1])
        assert app.screen.check_action("resume", ())
        await pilot.press("down", "e")
        await pilot.pause()
        await pilot.press("ctrl+a", "ctrl+k", *"sooner", "enter")
        await box.settled(pilot)
    assert waiting.names() == ["20261118-110640-sooner", second.name]


def test_paths_that_have_no_room_are_shown_by_the_names_at_their_ends() -> None:
    run = Summary("20261118-110640-tiny-lora", "done", "lora", "/home/ada/models/tiny", "/home/ada/data/rows.jsonl")
    assert row(run, 26, {}, marked=False)[0].plain.split("\n")[1] == "LoRA of tiny on rows.jsonl"
    assert "/home/ada/data/rows.jsonl" in row(run, 90, {}, marked=False)[0].plain


@pytest.mark.parametrize("keys", [["enter"], ["space", "down", "c"], ["n"], ["e"], ["d"]], ids="-".join)
async def test_a_run_that_was_removed_elsewhere_is_said_to_be_gone(keys: list[str]) -> None:
    kept, removed = a_run(), a_run()
    app = Stage(RunsScreen())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        assert names(app)[0] == removed.name
        shutil.rmtree(removed.path)
        await pilot.press(*keys)
        await box.settled(pilot)
        assert isinstance(app.screen, RunsScreen)
        assert f"{removed.name} is gone" in box.said(app)
        assert names(app) == [kept.name]


@pytest.mark.parametrize("act", [lambda run: keeping.write_note(run, "a"), lambda run: keeping.rename(run, "b")])
def test_a_run_removed_while_a_name_or_a_note_is_typed_is_said_to_be_gone(act: Callable[[RunFolder], object]) -> None:
    run = a_run()
    shutil.rmtree(run.path)
    with pytest.raises(UserError, match=f"run {run.name} is gone"):
        act(run)


@pytest.mark.parametrize("runs", [1, 20])
async def test_the_last_column_keeps_its_unit_however_long_the_others_are(
    runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        Summary(
            name=f"20261124-1412{n:02}-a-model-with-a-long-name-qlora",
            state="interrupted",
            method="qlora",
            model="llama-3.1-8b",
            data="rows.jsonl",
            step=12_000,
            total_steps=36_000,
            loss_before=1.569,
            loss=1.061,
            peak_bytes=112 * 2**30,
            predicted_peak_bytes=116 * 2**30,
            hours=21.1,
            predicted_hours=23.1,
        )
        for n in range(runs)
    ]
    monkeypatch.setattr(run_folder, "all_runs", lambda: found)
    monkeypatch.setattr(Summaries, "read", lambda self, found: found)
    app = Stage(RunsScreen())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        table = app.screen.query_one(DataTable)
        lines = ["".join(x.text for x in strip) for strip in app.screen._compositor.render_strips()]
        assert any("23 h 06 m" in line for line in lines) and not table.show_horizontal_scrollbar


async def test_enter_opens_the_run_that_arrows_typed_just_before_lead_to() -> None:
    runs = [a_run() for _ in range(3)]
    opened: list[str] = []
    app = Stage(RunsScreen())
    app.open_run = lambda folder: opened.append(folder.name)  # type: ignore[attr-defined]
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        assert names(app)[-1] == runs[0].name
        for key in ("down", "down", "enter"):  # in one go, as a slow connection delivers them
            app.post_message(Key(key, None))
        await pilot.pause()
        await pilot.pause()
    assert opened == [runs[0].name]
