"""A run frees its memory when it ends, as the process continues."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from backend.answers import Method
from backend.training import relief
from backend.training.train import train
from tests.backend.training.helpers import new_run


@pytest.mark.parametrize(
    ("method", "in_backward"), [("lora", False), ("qlora", False), ("full", False), ("full", True)]
)
def test_no_weight_is_left_when_a_run_has_ended(
    method: Method, in_backward: bool, tiny_model: Path, questions: Path
) -> None:
    gc.collect()
    before = tensors()
    gc.disable()  # what only the garbage collector frees may stay for a long time
    try:
        assert train(new_run(tiny_model, questions, method, max_steps=1, optimizer_in_backward=in_backward)) == "done"
    finally:
        gc.enable()
    assert tensors() < before + 10, "a few are libraries' own; the model has twenty and its states twice as many"


def tensors() -> int:
    return sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects())


def test_a_gpu_s_cache_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    relief.give_back()
    assert emptied
