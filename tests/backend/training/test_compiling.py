"""Compiled blocks: the same training, in graphs without breaks; uncompiled if compiling fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from backend.answers import Method
from backend.training import compiling
from backend.training.train import train
from tests.backend.training.helpers import log_text, losses, new_run


@pytest.mark.parametrize("method", ["qlora", "full"])
def test_the_same_losses_whether_compiled_or_not(
    method: Method, tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.utils import counters

    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")  # graphs only: generating their code takes a minute
    torch._dynamo.reset()
    counters.clear()
    few = {"max_steps": 2, "eval_fraction": 0.0, "checkpointing": method == "qlora"}
    plain, compiled = (new_run(tiny_model, questions, method, compile=how, **few) for how in (False, True))
    assert (train(plain), train(compiled)) == ("done", "done")
    assert losses(compiled) == pytest.approx(losses(plain), abs=1e-5)
    assert counters["stats"]["unique_graphs"] >= 1
    assert not counters["graph_break"]


def test_without_a_compiler_it_trains_as_it_is(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any) -> None:
        raise RuntimeError("no C++ compiler")

    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "BACKEND", missing)
    folder = new_run(tiny_model, questions, max_steps=1, eval_fraction=0.0, compile=True)
    assert train(folder) == "done"
    assert "torch.compile does not work here" in log_text(folder) and "no C++ compiler" in log_text(folder)
    assert len(losses(folder)) == 1
