"""How every step of the wizard looks, at 80x24 and 120x40."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.tui import box

SIZES = [(80, 24), (120, 40)]
Compare = Callable[..., bool]
Before = Callable[[Any], Awaitable[None]]


def before(*keys: str) -> Before:
    async def run(pilot: Any) -> None:
        await box.settled(pilot)
        await pilot.press(*keys)
        await box.settled(pilot)

    return run


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", ["hardware", "model", "data", "goal", "compare", "review"])
def test_step(step: str, size: tuple[int, int], snap_compare: Compare) -> None:
    assert snap_compare(box.at(step), terminal_size=size, run_before=before())


@pytest.mark.parametrize(
    ("step", "keys"),
    [
        ("compare", ("right", "e")),
        ("compare", ("g",)),
        ("review", ("down", "down", "e")),
        ("goal", ("f1",)),
        ("data", ("down", "down")),
    ],
    ids=["why-not", "gpu", "edit", "help", "sizes"],
)
def test_moment(step: str, keys: tuple[str, ...], snap_compare: Compare) -> None:
    assert snap_compare(box.at(step), terminal_size=(80, 24), run_before=before(*keys))
