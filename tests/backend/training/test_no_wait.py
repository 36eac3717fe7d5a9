"""Between two log points the host never reads a value from the device: it would wait for all queued work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from backend.answers import METHODS, Method
from backend.training.batches import micro_batches
from backend.training.optim.optimizers import updater
from backend.training.parallel.execution import Execution
from tests.backend.training.helpers import loaded, one_step, plan, random_rows


class Questions(TorchDispatchMode):
    """Counts the calls that read a tensor's value (`item`, `bool`, `float`, `nonzero`) while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if func.__name__.split(".")[0] in ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select"):
            self.asked.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("method", "changes", "asked"),
    [
        *((method, {}, 0) for method in METHODS),
        *((method, {"chunked_loss": True, "checkpointing": True}, 0) for method in METHODS),
        ("lora", {"packing": False}, 0),
        ("full", {"optimizer_in_backward": True}, 0),
        ("full", {"optimizer": "adamw_8bit"}, 1),  # it can't skip a step by itself, so the norm is read
        ("full", {"optimizer": "adamw_8bit", "optimizer_in_backward": True}, 1),
    ],
)
def test_a_step_asks_the_device_nothing(method: Method, changes: dict[str, Any], asked: int, tiny_model: Path) -> None:
    settings = plan(method, precision="bfloat16", **changes)
    it, rows = loaded(tiny_model, settings), random_rows(16)
    assert len(micro_batches(rows, Execution(settings, "cpu"))) > 1
    with Questions() as questions:
        loss, _ = one_step(it, rows, settings)
    assert len(questions.asked) == asked + 1, "beside what was asked for the loss at the end"
    assert loss > 0


def test_bitsandbytes_waits_for_paged_states_only(tiny_model: Path) -> None:
    parameters = loaded(tiny_model, plan("full")).trainable()
    for optimizer, waits in (("adamw_8bit", False), ("paged_adamw_8bit", True)):
        updater(parameters, Execution(plan("full", optimizer=optimizer), "cpu"))
        assert (bitsandbytes.optim.optimizer.sync_gpu is bitsandbytes.utils.sync_gpu) is waits
