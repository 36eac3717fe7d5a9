"""The result screen of runs that ended in each way."""

from __future__ import annotations

from typing import Any

import pytest

from backend.run.folder import RunFolder
from tests.tui.stage import Stage
from tests.tui.story import Story, finish, make_run, tell
from tests.tui.test_live_screen import SIZES, utc
from tui.panels.next_step import NextPanel, Trouble
from tui.panels.progress import Progress
from tui.screens.result import ResultScreen

__all__ = ["utc"]
HOME = "/home/ada/.local/share/fttui/runs/20261118-110640-llama-3.1-8b-qlora/result"
ERROR = "CUDA ran out of memory at step 1,501 and a smaller micro-batch did not help; choose a max_length under 1024."


def ended(state: str, method: str = "qlora") -> tuple[RunFolder, float]:
    folder, story = make_run(method), Story()
    at = tell(folder, story.begin(), story.steps(3600 if state == "done" else 1500))
    if state == "done":
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
async def test_what_is_not_done_can_go_on(state: str, command: str) -> None:
    app = shown(state)
    async with app.run_test(size=(80, 24)):
        assert app.screen.query_one(NextPanel).step.to_copy.startswith("fttui resume 20261118")


@pytest.mark.parametrize(
    ("method", "loader"), [("qlora", "AutoPeftModelForCausalLM"), ("full", "AutoModelForCausalLM")]
)
async def test_what_is_done_can_be_loaded(method: str, loader: str) -> None:
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
        assert "interrupted" in app.screen.query_one(Progress).render_line(0).text
        assert "less " in app.screen.query_one(NextPanel).step.to_copy
