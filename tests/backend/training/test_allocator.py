"""Expandable segments are switched on if they work, and tried only once if they don't."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import Any

import pytest
import torch

from backend.hardware import segments
from backend.training import allocator
from tests.tui import box

NAME, VALUE = allocator.SETTING


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit codes of the next tries, with an empty environment and a 4090 in the box."""
    codes: list[int] = []
    for name in segments.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(allocator, "detect", box.hardware)
    monkeypatch.setattr(segments, "is_wsl", lambda: False)

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        assert options["env"][NAME] == VALUE
        return subprocess.CompletedProcess(command, codes.pop(0))

    monkeypatch.setattr(subprocess, "run", run)
    return codes


def settled(monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.delenv(NAME, raising=False)
    allocator.settle()
    return os.environ.get(NAME)


@pytest.mark.parametrize(("code", "expected"), [(0, VALUE), (1, None), (-11, None)])
def test_a_try_decides_once(code: int, expected: str | None, tries: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    tries.append(code)
    assert settled(monkeypatch) == expected
    assert settled(monkeypatch) == expected, "remembered: there is no code left for another try"


def test_a_full_card_is_no_answer(tries: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    tries += [allocator.NO_ANSWER, 1]
    assert settled(monkeypatch) == VALUE
    assert settled(monkeypatch) is None


def test_a_torch_that_finds_no_gpu_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise they would stay off after the driver is repaired."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert allocator._try() == allocator.NO_ANSWER


def test_the_users_settings_stay_as_they_are(tries: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64")
    assert settled(monkeypatch) is None


def test_where_they_are_refused_nothing_is_tried(tries: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "detect", lambda: replace(box.hardware(), nvml=False))
    assert settled(monkeypatch) is None
    monkeypatch.setattr(allocator, "detect", lambda: replace(box.hardware(), gpus=()))
    assert settled(monkeypatch) is None
