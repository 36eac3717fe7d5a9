"""The time of a run split into loading, training, evaluating and saving."""

from __future__ import annotations

import pytest

from backend.answers import Answers
from backend.planner.compare import compare
from tests.shapes import H100, LLAMA_8B, model, rows


def test_the_parts_add_up_to_the_time() -> None:
    comparison = compare(Answers(model="8b", data="x.jsonl"), H100, model(LLAMA_8B), rows(3000))
    for seen in comparison.methods.values():
        assert list(seen.hours_by_phase) == ["load", "train", "evaluate", "save"]
        assert sum(seen.hours_by_phase.values()) == pytest.approx(seen.hours.point)
        assert all(hours > 0 for hours in seen.hours_by_phase.values())
