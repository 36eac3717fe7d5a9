"""Each run measures which number format is faster on this CPU, and keeps the result for later plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.hardware import host, rate
from backend.training import cpu_formats
from backend.training.train import train
from tests.backend.training.helpers import log_text, new_run


@pytest.mark.parametrize(
    ("precision", "gain", "said"),
    [("float32", 2.4, "2.4 times as fast"), ("bfloat16", 0.5, "2.0 times as long"), ("bfloat16", 2.4, None)],
)
def test_it_is_said_if_the_other_format_is_faster(
    precision: str, gain: float, said: str | None, tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_formats, "measure_bf16_gain", lambda: gain)
    monkeypatch.setattr(rate, "GAINS_NEEDED", 1)
    folder = new_run(tiny_model, questions, max_steps=1, eval_fraction=0.0, precision=precision)
    assert train(folder) == "done"
    assert rate.bf16_gain(host.cpu()) == gain
    assert (said in log_text(folder)) if said else ("times as" not in log_text(folder))


def test_it_is_measured_on_real_products() -> None:
    assert 0.01 < cpu_formats.measure_bf16_gain() < 100
