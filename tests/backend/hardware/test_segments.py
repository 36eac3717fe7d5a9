"""Which boxes let torch's segments grow in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend import paths
from backend.hardware import Hardware, detect, segments
from tests.backend.hardware.boxes import Card, mig_card
from tests.backend.hardware.conftest import Box


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in segments.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    kernel = tmp_path / "osrelease"
    kernel.write_text("6.8.0-45-generic\n")
    monkeypatch.setattr(segments, "KERNEL", kernel)


def test_a_usual_box_is_tried_once(box: Box) -> None:
    box(Card())
    found = segments.known(detect())
    assert (found.expandable, found.to_try) == (True, True)
    segments.remember(detect(), expandable=False)
    found = segments.known(detect())
    assert (found.expandable, found.to_try) == (False, False)
    other = replace(detect(), driver="999.1")
    assert segments.known(other).to_try, "another driver may behave otherwise"


def test_a_damaged_memory_is_no_memory(box: Box) -> None:
    box(Card())
    (paths.home() / segments.FILE).write_bytes(b"{\xff")
    assert segments.known(detect()).to_try


def test_wsl_mig_and_a_box_without_nvml_have_none(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(hardware: Hardware) -> str:
        found = segments.known(hardware)
        assert not found.expandable
        assert not found.to_try
        return found.why

    box(mig_card())
    assert "MIG" in off(detect())
    box(Card())
    assert "NVML" in off(replace(detect(), nvml=False))
    segments.KERNEL.write_text("5.15.167.4-microsoft-standard-WSL2\n")
    assert "WSL" in off(detect())
    monkeypatch.setattr(segments, "KERNEL", Path("/nowhere"))
    assert segments.known(detect()).expandable


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"PYTORCH_ALLOC_CONF": ""}, None),
        ({"PYTORCH_ALLOC_CONF": "expandable_segments:True"}, True),
        ({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:128"}, False),
        ({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:128, expandable_segments : true"}, True),
        # torch obeys the older name if both are set
        (
            {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False", "PYTORCH_ALLOC_CONF": "expandable_segments:True"},
            False,
        ),
    ],
)
def test_the_users_own_settings_are_read(
    environment: dict[str, str], expected: bool | None, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert segments.asked_for(environment) is expected
    box(mig_card())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert segments.known(detect()).expandable is bool(expected), "they come before what the box can do"
