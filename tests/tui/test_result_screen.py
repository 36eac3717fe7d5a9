"""The result screen of runs that ended in each way."""

from __future__ import annotations

import asyncio
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from rich.cells import cell_len
from textual.widgets import Static

from backend.launch.queue import waiting
from backend.measured import records
from backend.run import keeping, plan_file
from backend.run.events import RunStarted, Sampled
from backend.run.folder import RunFolder
from backend.run.history import History, read
from backend.run.summary import summarise
from tests.backend.measured.test_calibration import record
from tests.tui import box
from tests.tui.nasty import NASTY
from tests.tui.stage import Stage
from tests.tui.story import START, Story, finish, make_run, measure, tell
from tests.tui.test_live_screen import SIZES, utc
from tui.panels.curve import Curve
from tui.panels.next_step import NextPanel, NextStep, Trouble
from tui.panels.outcome import figures
from tui.panels.progress import ProgressPanel
from tui.screens import result
from tui.screens.chat import ChatScreen
from tui.screens.export_choice import ExportScreen
from tui.screens.live import LiveScreen
from tui.screens.result import ResultScreen, next_step

__all__ = ["utc"]
HOME = "/home/ada/.local/share/fttui/runs/20261118-110640-llama-3.1-8b-qlora/result"
ERROR = "CUDA ran out of memory at step 1,501 and a smaller micro-batch did not help; choose a max_length under 1024."


def ended(state: str, method: str = "qlora") -> tuple[RunFolder, float]:
    folder, story = make_run(method), Story()
    at = tell(folder, story.begin(), story.steps(3600 if state == "done" else 1500))
    if state == "done":
        measure(folder, at + 30)
        finish(folder, at + 30, "done", result=HOME, bytes=167_832_240, tokens_per_second=2855.0)
    elif state == "failed":
        finish(folder, at + 3, "failed", error=ERROR)
    elif state != "interrupted":
        finish(folder, at + 3, state)
    return folder, at + 40


def shown(state: str, method: str = "qlora") -> Stage:
    folder, at = ended(state, method)
    return Stage(ResultScreen(folder, clock=lambda: at))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("state", ["done", "failed", "stopped", "interrupted"])
def test_result(state: str, size: tuple[int, int], snap_compare: Any) -> None:
    assert snap_compare(shown(state), terminal_size=size)


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ("stopped", "fttui resume"),
        ("paused", "fttui resume"),
        ("failed", "fttui resume"),
        ("interrupted", "fttui resume"),
    ],
)
async def test_an_unfinished_run_can_be_resumed(state: str, command: str) -> None:
    app = shown(state)
    async with app.run_test(size=(80, 24)):
        assert app.screen.query_one(NextPanel).step.to_copy.startswith("fttui resume 20261118")


@pytest.mark.parametrize(
    ("method", "loader"), [("qlora", "AutoPeftModelForCausalLM"), ("full", "AutoModelForCausalLM")]
)
async def test_a_finished_run_can_be_loaded(method: str, loader: str) -> None:
    app = shown("done", method)
    async with app.run_test(size=(80, 24)):
        code = app.screen.query_one(NextPanel).step.to_copy
    compile(code, "snippet", "exec")
    assert HOME in code
    assert f"import {loader}" in code


async def test_a_failure_is_shown_whole_with_the_end_of_the_log() -> None:
    app = shown("failed")
    async with app.run_test(size=(80, 24)):
        panel = app.screen.query_one(Trouble)
        text = " ".join(" ".join(panel.render_line(y).text.strip(" │") for y in range(panel.size.height)).split())
        assert ERROR in text
        assert "checkpoint at step 1,440" in text


async def test_y_copies_for_the_terminal_that_shows_it() -> None:
    app = shown("stopped")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("y")
        assert app.clipboard == app.screen.query_one(NextPanel).step.to_copy


async def test_q_leaves_without_a_question() -> None:
    app = shown("done")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
    assert not app.is_running


async def test_a_run_without_any_event_is_shown_too() -> None:
    app = Stage(ResultScreen(make_run()))
    async with app.run_test(size=(80, 24)):
        assert "interrupted" in app.screen.query_one(ProgressPanel).render_line(0).text
        assert "less " in app.screen.query_one(NextPanel).step.to_copy


async def test_s_saves_the_screen_and_a_report_in_the_runs_folder() -> None:
    app = shown("done")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("s")
        assert isinstance(app.screen, ResultScreen)
        folder = app.screen.folder
        assert folder.name in box.said(app)
    text = (folder.path / "report.md").read_text()
    assert text.startswith("# llama-3.1-8b · QLoRA: done\n")
    assert "| peak | 11.6 GiB | 11.3 GiB | -3 % |" in text
    assert "    Natalia sold 48 clips in April." in text, "before"
    assert "    #### 72" in text, "after"
    assert "| rank | 16 |" in text
    assert "(report.svg)" in text
    ElementTree.fromstring((folder.path / "report.svg").read_text())


async def test_a_report_of_nasty_text_has_nothing_that_a_reader_executes() -> None:
    folder, story = make_run(model="m"), Story()
    plan_file.write(folder.plan_file, replace(folder.job(), model="[x](evil) | `y`"))
    clean = [text.encode("utf-8", "replace").decode() for text in NASTY.values()]  # as it comes out of JSON
    said = [(1.0, Sampled(step=0, prompt=text, text=f"```\n{text}")) for text in clean]
    at = tell(folder, story.begin(), story.steps(3), said)
    finish(folder, at, "failed", error=NASTY["link"])
    app = Stage(ResultScreen(folder, clock=lambda: at))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("s")
    text = (folder.path / "report.md").read_text()
    assert not {unicodedata.category(x) for x in text if x != "\n"} & {"Cc", "Cf", "Cs", "Co"}
    assert "[x](evil)" not in text
    assert not [line for line in text.splitlines() if line.startswith("```")]
    ElementTree.fromstring((folder.path / "report.svg").read_text())


async def test_a_report_that_can_not_be_written_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    app = shown("done")
    async with app.run_test(size=(80, 24)) as pilot:
        monkeypatch.setattr(Path, "write_text", full)
        await pilot.press("s")
        assert "No space left" in box.said(app)


async def test_a_new_run_is_planned_with_the_correction_of_the_last_one() -> None:
    app = box.at("compare")
    folder, _ = ended("done")
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        before, device = app.journey.comparison(), app.journey.device
        assert device is not None and device.calibration is None
        app.open_run(folder)
        await pilot.pause()
        records.file().write_bytes(msgspec.json.encode(record(device, method="qlora")) + b"\n")
        await pilot.press("n")
        await box.to_step(pilot, "compare")
        after = app.journey.comparison()
        assert any(note.startswith("QLoRA is corrected by 1 run on this box") for note in after.notes)
        assert after.methods["qlora"].hours.point > before.methods["qlora"].hours.point


async def test_e_exports_by_the_command_that_one_would_type(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, story = make_run(), Story(total_steps=40)
    finish(folder, tell(folder, story.begin(), story.steps(40)), "done")
    folder.result.mkdir()
    asked: list[tuple[str, ...]] = []

    async def instead(*command: str, **options: Any) -> Any:
        asked.append(command)
        return await real(sys.executable, "-c", "print('next: ollama create x')", **options)

    real = asyncio.create_subprocess_exec
    monkeypatch.setattr(asyncio, "create_subprocess_exec", instead)
    app = Stage(ResultScreen(folder))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("e", "down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ExportScreen)
        found = app.screen.query_one("#found", Static)
        async with asyncio.timeout(20):
            while "next: ollama" not in str(found.visual):
                await pilot.pause(0.02)
        await pilot.press("escape")
        assert isinstance(app.screen, ResultScreen)
    assert asked[0][1:] == ("-m", "tui", "export", folder.name, "--to", "ollama")


async def test_t_talks_with_the_result_in_a_process_that_ends_with_the_dialog(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, story = make_run(), Story(total_steps=40)
    finish(folder, tell(folder, story.begin(), story.steps(40)), "done")
    folder.result.mkdir()
    code = "import sys\nfor line in sys.stdin: print('trained: \x1b[31mechoes', line.strip(), flush=True)"
    asked: list[tuple[str, ...]] = []

    async def instead(*command: str, **options: Any) -> Any:
        asked.append(command)
        return await real(sys.executable, "-c", code, **options)

    real = asyncio.create_subprocess_exec
    monkeypatch.setattr(asyncio, "create_subprocess_exec", instead)
    app = Stage(ResultScreen(folder))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("t")
        await pilot.pause(0.2)
        screen = app.screen
        assert isinstance(screen, ChatScreen)
        assert cell_len(str(screen.query_one("#chat").border_subtitle)) <= 60, "whole in 70 columns"
        await pilot.press(*"hello", "enter")
        found = screen.query_one("#said Static", Static)
        async with asyncio.timeout(20):
            while "echoes hello" not in str(found.visual):
                await pilot.pause(0.02)
        assert "\x1b" not in str(found.visual)
        await pilot.press("escape")
        await pilot.pause()
        assert screen._process is not None
        async with asyncio.timeout(20):
            assert await screen._process.wait() != 0
    assert asked[0][1:] == ("-m", "tui", "chat", folder.name)


async def test_there_is_no_export_without_a_result() -> None:
    folder, story = make_run(), Story(total_steps=40)
    finish(folder, tell(folder, story.begin(), story.steps(20)), "failed", error="it broke")
    app = Stage(ResultScreen(folder))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("e")
        assert isinstance(app.screen, ResultScreen)


async def test_a_renamed_run_says_where_its_result_is_now() -> None:
    folder, story = make_run(), Story(total_steps=40)
    folder.result.mkdir()
    at = tell(folder, story.begin(), story.steps(40))
    finish(folder, at, "done", result=str(folder.result), bytes=10)
    renamed = keeping.rename(folder, "support-bot")
    assert str(renamed.result) in next_step(renamed, read(renamed.events_file)).to_copy


def test_the_cost_of_several_devices_is_that_of_all_of_them() -> None:
    folder, story = make_run(), Story(total_steps=40)
    begin = [
        (at, msgspec.structs.replace(event, plan={"processes": 4}) if isinstance(event, RunStarted) else event)
        for at, event in story.begin()
    ]
    at = tell(folder, begin, story.steps(40))
    finish(folder, at, "done")
    cost = next(figure for figure in figures(read(folder.events_file)) if figure.name == "cost")
    assert cost.measured == pytest.approx((at - START) / 3600 * 0.45 * 4)


async def test_a_run_that_noted_its_failure_only_is_failed_everywhere_and_says_why() -> None:
    """Another process's run, whose events could not be written: the list, the header and the report all say failed."""
    folder, at = ended("interrupted")
    with folder.hold():
        folder.note_failure("the disk is full; free some space")
    app = Stage(ResultScreen(folder, clock=lambda: at))
    async with app.run_test(size=(80, 24)) as pilot:
        assert "✗ failed" in app.screen.query_one(ProgressPanel).render_line(0).text
        assert "the disk is full; free some space" in app.screen.query_one(Trouble).render_line(1).text
        await pilot.press("s")
    assert summarise(folder).state == "failed"
    assert (folder.path / "report.md").read_text().startswith("# llama-3.1-8b · QLoRA: failed\n")


async def test_why_a_run_of_this_process_failed_is_shown_if_no_file_could_take_it() -> None:
    folder, at = ended("interrupted")
    app = Stage(ResultScreen(folder, clock=lambda: at, unsaid="the run's files can't be written"))
    async with app.run_test(size=(80, 24)):
        assert "the run's files can't be written" in app.screen.query_one(Trouble).render_line(1).text


async def test_a_limit_that_ended_the_run_is_said() -> None:
    folder, story = make_run(), Story(total_steps=40)
    reason = "ended early: in 3 evaluations the held-out loss has not fallen below the one at step 12"
    finish(folder, tell(folder, story.begin(), story.steps(24)), "done", reason=reason)
    app = Stage(ResultScreen(folder))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "Ended early: in 3 evaluations" in box.said(app) and "the one at step 12." in box.said(app)


async def test_a_run_that_waits_in_the_queue_is_neither_lost_nor_starting() -> None:
    folder = make_run()
    waiting.add(folder)
    app = Stage(ResultScreen(folder))
    async with app.run_test(size=(80, 24)):
        screen = app.screen
        assert "○ queued" in screen.query_one(ProgressPanel).render_line(0).text
        assert not screen.query(Trouble)
        assert screen.query_one(NextPanel).step.lines == ("fttui queue list",)
        text = "\n".join("".join(x.text for x in strip) for strip in screen._compositor.render_strips())
    assert f"fttui resume {folder.name} starts it now" in text and "starting" not in text


async def test_a_run_that_waits_is_shown_live_when_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "_LOOK_SECONDS", 0.05)
    folder, story = make_run(), Story()
    waiting.add(folder)
    app = Stage(ResultScreen(folder))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        waiting.take(folder.name)  # its process starts
        await pilot.pause(0.2)
        assert isinstance(app.screen, ResultScreen)
        with folder.hold():
            tell(folder, story.begin(), story.steps(2))
            while not isinstance(app.screen, LiveScreen):
                await pilot.pause(0.05)
            await pilot.pause(0.3)
            assert isinstance(app.screen, LiveScreen) and app.screen._history.step == 2


async def test_a_run_that_was_taken_out_of_the_queue_is_no_longer_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(result, "_LOOKS_UNTIL_STARTED", 3)
    folder = make_run()
    waiting.add(folder)
    app = Stage(ResultScreen(folder))
    async with app.run_test(size=(80, 24)) as pilot:
        first = app.screen
        waiting.take(folder.name)
        while app.screen is first:
            await pilot.pause(0.05)
        assert app.screen.query(Trouble)


async def test_a_long_path_in_a_failure_hides_neither_what_is_wrong_nor_its_fix() -> None:
    folder, story = make_run(), Story()
    path = "/data/" + "/".join(f"folder-{i:03}" for i in range(20)) + "/rows.jsonl"
    finish(folder, tell(folder, story.begin()), "failed", error=f"{path} is gone; give the file again")
    app = Stage(ResultScreen(folder))

    def text() -> str:
        panel = app.screen.query_one(Trouble)
        return "".join(panel.render_line(y).text.strip(" │") for y in range(panel.size.height))

    async with app.run_test(size=(80, 24)) as pilot:
        assert "/rows.jsonl is gone; give the file again" in text() and path not in text()
        await pilot.press("3", "3")
        assert f"{path} is gone" in text(), "with more room the path is whole"


async def test_a_run_that_failed_before_its_first_step_says_so() -> None:
    folder = make_run()
    finish(folder, START + 2, "failed", error="no row can be used")
    app = Stage(ResultScreen(folder))
    async with app.run_test(size=(80, 24)):
        curve = app.screen.query_one(Curve)
        assert "no step was made" in "".join(curve.render_line(y).text for y in range(curve.size.height))


async def test_enter_twice_on_an_export_does_not_end_it_and_its_notes_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; sys.stdin.read(); print('a note', file=sys.stderr); print('next: vllm serve x')"
    real = asyncio.create_subprocess_exec
    made: list[asyncio.subprocess.Process] = []

    async def instead(*_: str, **options: Any) -> Any:
        made.append(await real(sys.executable, "-c", code, **(options | {"stdin": asyncio.subprocess.PIPE})))
        return made[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", instead)
    app = Stage(None)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(ExportScreen(["fttui"]))
        async with asyncio.timeout(20):
            while not made:
                await pilot.pause(0.02)
        await pilot.press("enter")
        assert isinstance(app.screen, ExportScreen) and made[0].returncode is None
        assert made[0].stdin is not None
        made[0].stdin.close()
        found = app.screen.query_one("#found", Static)
        async with asyncio.timeout(20):
            while "next: vllm" not in str(found.visual):
                await pilot.pause(0.02)
        assert "a note" in str(found.visual)
        await pilot.press("enter")
        assert not isinstance(app.screen, ExportScreen)


@pytest.mark.parametrize(
    ("home", "width", "shown"),
    [
        ("/home/ada", 60, 'path = "/home/ada/runs/a/result"'),  # Python does not know what ~ is
        ("/home/ada", 30, 'path = "~/runs/a/result"'),
        ("/home/ad", 30, 'path = "/home/ada/runs/a/result"'),
        ("/", 30, 'path = "/home/ada/runs/a/result"'),
    ],
)
def test_the_home_folder_is_shortened_only_if_there_is_no_room(
    home: str, width: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    step = NextStep("Saved", "", ('path = "/home/ada/runs/a/result"',))
    panel = NextPanel(History(Path("none"), Path("none")), step)
    assert next(iter(panel.body(width, 3)))[0][0] == shown


async def test_what_is_done_with_a_run_that_lies_elsewhere_names_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, story = make_run(), Story(total_steps=40)
    finish(made, tell(made, story.begin(), story.steps(40)), "stopped")
    (like_it := made.path.with_name(f"{made.name}-2")).mkdir()  # its name begins with the other one's
    (like_it / "plan.toml").write_bytes(made.plan_file.read_bytes())
    away = RunFolder(made.path.rename(tmp_path / made.name))
    away.result.mkdir()
    assert next_step(away, read(away.events_file)).to_copy == f"fttui resume {away.path}"
    asked: list[str] = []
    monkeypatch.setattr(ExportScreen, "begin", lambda self: asked.extend(self._command))
    app = Stage(ResultScreen(away))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("e", "enter")
        await pilot.pause()
    assert asked[2:] == ["tui", "export", str(away.path), "--to", "merged"]
    assert RunFolder.find(asked[4]).path == away.path
