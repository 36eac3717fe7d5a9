"""The live screen by keys, and as pictures. Clocks, zone and folder names are fixed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from backend.launch.launch import Trainer
from backend.run.control import Inbox
from backend.run.events import CheckpointSaved, MemoryReading, StepDone
from backend.run.folder import RunFolder
from backend.run.history import read
from tests.tui import box
from tests.tui.stage import Stage
from tests.tui.story import GIB, START, Story, Telling, finish, make_run, tell
from tui.panels.curve import Curve
from tui.panels.log import LogPanel
from tui.panels.panel import Panel
from tui.panels.progress import ProgressPanel
from tui.screens.ask import Ask
from tui.screens.live import LiveScreen
from tui.screens.result import ResultScreen
from tui.screens.whole_line import WholeLine
from tui.widgets.prose import Prose
from tui.wizard import STOPPING

SIZES = [(80, 24), (120, 40), (200, 50)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Living(Trainer):
    """A trainer that seems to be running; its events are already written."""

    def is_alive(self) -> bool:
        return True


def opened(folder: RunFolder, at: float, *, own: bool = True) -> Stage:
    return Stage(LiveScreen(folder, Living(folder) if own else None, clock=lambda: at))


def run_at(phase: str) -> tuple[RunFolder, float]:
    """A run that has reached `phase`, and the time a second later."""
    story = Story(device="cpu" if phase == "cpu" else "cuda")
    folder = make_run(device=story.device)
    begin = list(story.begin())
    so_far: dict[str, list[Iterable[Telling]]] = {
        "loading": [begin[:4]],
        "first evaluation": [begin[:7]],
        "early": [begin, story.steps(20)],
    }
    parts = so_far.get(phase) or [begin, story.steps(1204)]
    return folder, tell(folder, *parts) + 1


def screen_of(app: Stage) -> LiveScreen:
    assert isinstance(app.screen, LiveScreen)
    return app.screen


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_live_mid(size: tuple[int, int], snap_compare: Any) -> None:
    assert snap_compare(opened(*run_at("mid")), terminal_size=size)


@pytest.mark.parametrize("size", SIZES[:2], ids=str)
@pytest.mark.parametrize("phase", ["loading", "first evaluation", "early", "cpu"])
def test_live(phase: str, size: tuple[int, int], snap_compare: Any) -> None:
    assert snap_compare(opened(*run_at(phase)), terminal_size=size)


def test_live_maximised(snap_compare: Any) -> None:
    assert snap_compare(opened(*run_at("mid")), terminal_size=(80, 24), press=["1", "1"])


def test_live_leave(snap_compare: Any) -> None:
    assert snap_compare(opened(*run_at("mid")), terminal_size=(80, 24), press=["q"])


async def test_c_p_and_s_write_commands_for_the_trainer() -> None:
    folder, at = run_at("mid")
    inbox = Inbox(folder.commands_file)
    app = opened(folder, at)
    async with app.run_test() as pilot:
        await pilot.press("c")
        assert "checkpoint at the next step" in app.screen.query_one(ProgressPanel).notice
        await pilot.press("p", "p", "s", "s")
    assert inbox.poll() == ["checkpoint", "pause", "stop"]


async def test_an_unconfirmed_stop_does_nothing() -> None:
    folder, at = run_at("mid")
    inbox = Inbox(folder.commands_file)
    async with opened(folder, at).run_test() as pilot:
        await pilot.press("s", "escape")
    assert inbox.poll() == []


async def test_the_checkpoint_notice_ends_when_it_is_written() -> None:
    folder, at = run_at("mid")
    app = opened(folder, at)
    async with app.run_test() as pilot:
        await pilot.press("c")
        tell(folder, [(4000.0, CheckpointSaved(step=1205, path="checkpoints/step-1205"))])
        screen_of(app).tick()
        assert app.screen.query_one(ProgressPanel).notice == ""


@pytest.mark.parametrize(("key", "result", "commands"), [("k", None, []), ("s", STOPPING, ["stop"])])
async def test_q_asks_whether_the_run_shall_continue(key: str, result: str | None, commands: list[str]) -> None:
    folder, at = run_at("mid")
    inbox = Inbox(folder.commands_file)
    app = opened(folder, at)
    async with app.run_test() as pilot:
        await pilot.press("q")
        assert isinstance(app.screen, Ask)
        await pilot.press(key)
    assert app.return_value == result
    assert not app.is_running
    assert inbox.poll() == commands


async def test_q_and_stay_stays() -> None:
    app = opened(*run_at("mid"))
    async with app.run_test() as pilot:
        await pilot.press("q", "escape")
        assert isinstance(app.screen, LiveScreen)


async def test_ctrl_c_stops_and_a_second_one_leaves() -> None:
    folder, at = run_at("mid")
    inbox = Inbox(folder.commands_file)
    app = opened(folder, at)
    async with app.run_test() as pilot:
        await pilot.press("ctrl+c")
        assert inbox.poll() == ["stop"]
        assert isinstance(app.screen, LiveScreen)
        await pilot.press("ctrl+c")
    assert app.return_value == STOPPING


async def test_somebody_who_only_watches_leaves_without_a_question_and_stops_nothing() -> None:
    folder, at = run_at("mid")
    inbox = Inbox(folder.commands_file)
    with folder.hold():
        app = opened(folder, at, own=False)
        async with app.run_test() as pilot:
            await pilot.press("ctrl+c")
        assert not app.is_running
    assert inbox.poll() == []


async def test_a_number_focuses_a_panel_and_pressed_again_maximises_it() -> None:
    app = opened(*run_at("mid"))
    async with app.run_test() as pilot:
        await pilot.press("5")
        assert isinstance(app.focused, LogPanel)
        await pilot.press("5")
        assert [panel.id for panel in app.screen.query(Panel) if panel.display] == ["log"]
        await pilot.press("1")
        assert [panel.id for panel in app.screen.query(Panel) if panel.display] == ["curve"]
        await pilot.press("escape")
        assert all(panel.display for panel in app.screen.query(Panel))
        await pilot.press("m")
        assert [panel.id for panel in app.screen.query(Panel) if panel.display] == ["curve"]


async def test_a_number_that_comes_twice_at_once_maximises_its_panel() -> None:
    """Over a slow connection both keys arrive together, before the panel knows that it has the focus."""
    app = opened(*run_at("mid"))
    async with app.run_test():
        screen = screen_of(app)
        screen.action_panel("5")
        screen.action_panel("5")
        assert [panel.id for panel in screen.query(Panel) if panel.display] == ["log"]


async def test_new_events_show_without_a_key() -> None:
    folder, at = run_at("mid")
    app = opened(folder, at)
    async with app.run_test():
        screen = screen_of(app)
        screen.tick()
        before = app.screen.query_one(Curve).history.step
        tell(folder, [(9000.0, StepDone(step=1205, total_steps=3600, loss=1.0))])
        screen.tick()
        assert app.screen.query_one(Curve).history.step == before + 1
        assert "1,205" in app.screen.query_one(ProgressPanel).render_line(0).text


async def test_the_result_is_shown_when_the_run_ends() -> None:
    folder, at = run_at("mid")
    app = opened(folder, at)
    async with app.run_test() as pilot:
        finish(folder, at, "stopped")
        screen = screen_of(app)
        for _ in range(6):
            screen.tick()
        await pilot.pause()
        assert isinstance(app.screen, ResultScreen)


async def test_q_asks_nothing_once_the_run_is_over() -> None:
    folder, at = run_at("mid")
    app = opened(folder, at)
    async with app.run_test() as pilot:
        finish(folder, at, "stopped")
        screen_of(app).tick()
        await pilot.press("q")
    assert not app.is_running


async def test_a_question_about_a_run_that_ends_is_closed() -> None:
    folder, at = run_at("mid")
    app = opened(folder, at)
    async with app.run_test() as pilot:
        screen = screen_of(app)
        await pilot.press("s")
        finish(folder, at, "done")
        for _ in range(8):
            screen.tick()
            await pilot.pause()
            if isinstance(app.screen, ResultScreen):
                break
        assert isinstance(app.screen, ResultScreen)


async def test_a_run_whose_process_died_ends_in_a_result_that_says_so() -> None:
    folder, at = run_at("mid")
    app = opened(folder, at, own=False)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = screen_of(app)
        for _ in range(20):
            screen.tick()
        await pilot.pause()
        assert isinstance(app.screen, ResultScreen)
        assert "interrupted" in app.screen.query_one(ProgressPanel).render_line(0).text


async def test_memory_before_the_first_step_is_drawn() -> None:
    folder = make_run()
    tell(folder, [(1.0, MemoryReading(kind="cuda", allocated_bytes=GIB, device_bytes=4 * GIB))])
    app = opened(folder, START + 2)
    async with app.run_test(size=(80, 24)):
        assert "1.0 GiB" in app.screen.query_one("#memory", Panel).render_line(1).text
    assert read(folder.events_file).step == 0


async def test_h_hides_a_panel_and_its_number_brings_it_back() -> None:
    app = opened(*run_at("mid"))
    async with app.run_test(size=(80, 24)) as pilot:
        room = app.screen.query_one(LogPanel).size.height
        await pilot.press("h")
        assert all(panel.display for panel in app.screen.query(Panel)), "none has the focus"
        app.unsay()
        await pilot.press("4", "h")
        await pilot.pause()
        assert [panel.id for panel in app.screen.query(Panel) if not panel.display] == ["samples"]
        assert app.screen.query_one(LogPanel).size.height == room + 5
        await pilot.press("1", "h", "2", "h", "3", "h", "5", "h")
        assert [panel.id for panel in app.screen.query(Panel) if panel.display] == ["log"], "the last one stays"
        await pilot.press("4")
        assert app.focused is app.screen.query_one("#samples")
        await pilot.press("escape")
        assert all(panel.display for panel in app.screen.query(Panel))


async def test_enter_in_the_log_opens_the_line_and_y_copies_it() -> None:
    folder, at = run_at("mid")
    app = Stage(LiveScreen(folder, clock=lambda: at))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("5", "up", "enter")
        await pilot.pause()
        assert isinstance(app.screen, WholeLine)
        await pilot.press("y", "escape")
        assert app.clipboard.startswith("held-out loss") or "parameters train" in app.clipboard
        assert isinstance(app.screen, LiveScreen)


async def test_what_libraries_printed_is_in_the_log_and_can_be_filtered() -> None:
    folder, at = run_at("mid")
    folder.log_file.write_text("NCCL INFO ring\nsomething else\n")
    app = opened(folder, at)
    async with app.run_test(size=(80, 24)) as pilot:
        log = app.screen.query_one(LogPanel)
        await pilot.press("5", "slash", *"printed nccl")
        assert "│ NCCL INFO ring" in log.render_line(1).text
        assert log.render_line(2).text.strip("│ ") == ""
        assert "/printed nccl_" in log.render_line(0).text
        await pilot.press("enter", "1")
        assert app.focused is app.screen.query_one(Curve)
        assert "/printed nccl " in log.render_line(0).text
        await pilot.press("5", "slash", "escape")
        assert "checkpoint at step 1,080" in log.render_line(2).text


async def test_esc_drops_a_kept_filter_and_h_says_what_it_needs() -> None:
    app = opened(*run_at("mid"))
    async with app.run_test(size=(80, 24)) as pilot:
        log = app.screen.query_one(LogPanel)
        footer = app.screen.query_one(Footer)
        await pilot.press("h")
        assert "Choose a panel" in box.said(app)
        await pilot.press("5")
        await pilot.pause()
        assert "/ filters" in log.render_line(0).text
        assert footer.virtual_size.width <= 80 and "hide" in {key.description for key in footer.query(FooterKey)}
        await pilot.press("slash", *"loss")
        await pilot.pause()
        assert {key.description for key in footer.query(FooterKey)} == {"keep the filter"}
        await pilot.press("enter")
        assert "/loss · Esc shows all" in log.render_line(0).text
        await pilot.press("escape")
        assert "loss" not in log.render_line(0).text and log.has_focus


async def test_letters_typed_into_a_filter_are_not_commands() -> None:
    folder, at = run_at("mid")
    inbox = Inbox(folder.commands_file)
    app = opened(folder, at)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5", "slash", *"cpqsx", "backspace")
        assert isinstance(app.screen, LiveScreen)
        assert "/cpqs_" in app.screen.query_one(LogPanel).render_line(0).text
    assert inbox.poll() == []


async def test_nothing_is_drawn_while_the_terminal_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, at = run_at("mid")
    app = opened(folder, at)
    async with app.run_test(size=(80, 24)):
        screen = screen_of(app)
        monkeypatch.setattr(type(app), "is_terminal_behind", True)
        tell(folder, [(9000.0, StepDone(step=1205, total_steps=3600, loss=1.0))])
        screen.tick()
        assert "1,204" in app.screen.query_one(ProgressPanel).render_line(0).text
        monkeypatch.setattr(type(app), "is_terminal_behind", False)
        screen.tick()
        assert "1,205" in app.screen.query_one(ProgressPanel).render_line(0).text


async def test_a_long_finished_run_is_read_in_parts_before_its_result_is_shown() -> None:
    folder, at = run_at("mid")
    with folder.events_file.open("ab") as events:
        events.write(b'{"t":1795000000.0,"event":"gpu","utilisation":97}\n' * 100_000)
    finish(folder, at, "done")
    app = Stage(LiveScreen(folder, clock=lambda: at))
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(100):
            await pilot.pause(0.02)
            if isinstance(app.screen, ResultScreen):
                break
        assert isinstance(app.screen, ResultScreen)
        assert "1,204" in app.screen.query_one(ProgressPanel).render_line(0).text


async def test_it_draws_at_any_size_a_window_can_be_dragged_to() -> None:
    app = opened(*run_at("mid"))
    async with app.run_test(size=(80, 24)) as pilot:
        for width, height in ((34, 11), (1, 1), (20, 5), (41, 3), (9, 40), (200, 4), (36, 24), (80, 24)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
        assert "1,204" in app.screen.query_one(ProgressPanel).render_line(0).text


@pytest.mark.parametrize("size", [(40, 12), (60, 24), (80, 14)], ids=str)
async def test_in_a_small_terminal_the_curve_stays_and_keys_show_the_others(size: tuple[int, int]) -> None:
    app = opened(*run_at("mid"))
    async with app.run_test(size=size) as pilot:
        curve, memory = app.screen.query_one("#curve"), app.screen.query_one("#memory")
        assert curve.size.width == size[0] and curve.size.height >= 6
        assert "0" in curve.render_line(curve.size.height - 2).text
        await pilot.press("2", "2")
        await pilot.pause()
        assert memory.size.width == size[0] and not curve.display


@pytest.mark.parametrize("own", [True, False])
async def test_help_says_what_q_does_here_and_names_each_key_once(own: bool) -> None:
    app = opened(*run_at("mid"), own=own)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        text = app.screen.query_one(Prose).render().plain
    assert ("q asks whether" in text) is own
    assert ("q leaves at once" in text) is not own
    assert "1-5 " in text and "panel 2" not in text
    assert "Esc" in text and "esc " not in text


@pytest.mark.parametrize(("part", "said"), [(0.97, "97 % of predicted"), (1.17, "117% of predicted")])
@pytest.mark.parametrize("size", SIZES[:2], ids=str)
async def test_how_far_memory_is_off_is_never_cut(part: float, said: str, size: tuple[int, int]) -> None:
    folder, story = make_run(), Story()
    at = tell(folder, story.begin(), story.steps(20))
    predicted = read(folder.events_file).predicted.peak_allocated_bytes
    reading = MemoryReading(kind="cuda", allocated_bytes=GIB, peak_bytes=int(part * predicted), device_bytes=24 * GIB)
    tell(folder, [(at - START, reading)])
    app = opened(folder, at)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        top = app.screen.query_one("#memory", Panel).render_line(0).text
    assert said.replace(" ", "") in top.replace(" ", "") and "…" not in top
