"""How every step of the wizard looks, in three sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from backend.run import folder as run_folder
from backend.run.summary import Summaries, Summary
from tests.tui import box, fixed
from tui.screens.runs import RunsScreen

SIZES = [(80, 24), (120, 40), (200, 50)]
GPUS = ["RTX 3090", "RTX 4090", "RTX 5090", "L40S", "A100 SXM 80GB", "H100 SXM", "H200"]
RUNS = [
    Summary("20261124-154512-Llama-3.1-8B-qlora", "running", "qlora", "meta-llama/Llama-3.1-8B", "support.jsonl", 120,
            900, 2.104, 1.213, 13 * box.GIB, int(12.2 * box.GIB), 3.1, None),
    Summary("20261123-101500-demo-lora", "done", "lora", "demo", "demo", 40, 40, 1.336, 1.171, int(1.9 * box.GIB),
            int(1.8 * box.GIB), 0.05, 0.052),
    Summary("20261122-090210-demo-full", "failed", "full", "demo", "rows.jsonl", 3, 400),
    Summary("20261120-180000-broken", "damaged"),
]  # fmt: skip
Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def folder_with_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "support.jsonl").write_bytes(b"x" * 7_300_000)
    monkeypatch.chdir(tmp_path)


def keys(*pressed: str) -> Callable[[Any], Awaitable[None]]:
    async def run(pilot: Any) -> None:
        await box.settled(pilot)
        await pilot.press(*pressed)
        await box.settled(pilot)

    return run


def wizard(step: str) -> App[str]:
    return box.at(step, compare=fixed.compare, device_names=lambda: GPUS)


@pytest.mark.parametrize("size", SIZES, ids=["80", "120", "200"])
@pytest.mark.parametrize("step", ["hardware", "model", "data", "goal", "compare", "review"])
def test_step(step: str, size: tuple[int, int], snap_compare: Compare) -> None:
    assert snap_compare(wizard(step), terminal_size=size, run_before=keys())


@pytest.mark.parametrize(
    ("step", "pressed"),
    [
        ("compare", ("right", "e")),
        ("compare", ("g",)),
        ("review", ("down", "down", "down", "enter")),
        ("goal", ("f1",)),
        ("data", ("down", "down")),
        ("review", ("s",)),
    ],
    ids=["why-not", "gpu", "edit", "help", "sizes", "preset"],
)
def test_moment(step: str, pressed: tuple[str, ...], snap_compare: Compare) -> None:
    assert snap_compare(wizard(step), terminal_size=(80, 24), run_before=keys(*pressed))


@pytest.mark.parametrize("size", SIZES, ids=["80", "120", "200"])
def test_runs(size: tuple[int, int], snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "all_runs", lambda: RUNS)
    monkeypatch.setattr(Summaries, "read", lambda self, found: found)

    async def opened(pilot: Any) -> None:
        pilot.app.push_screen(RunsScreen())
        await box.settled(pilot)

    assert snap_compare(wizard("goal"), terminal_size=size, run_before=opened)
