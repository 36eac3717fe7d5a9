"""Steps of the trainer in an emulated box: what torch's allocator says, beside what the planner predicts.

MODEL METHOD LENGTH packed|rows [field=value ...]     prints one JSON object
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backend import constants
from backend.plan import fields
from backend.plan.plan import Plan
from backend.training import allocator
from tests.bench import gpu_shapes
from tests.emulated import child

STEPS, VARIED = 3, 6
ROWS = 8
"""Rows of a packed sequence."""


def main(name: str, method: Any, length: int, packed: bool, changes: dict[str, Any]) -> dict[str, Any]:
    """Load, some steps of full sequences, some of shorter ones, an evaluation."""
    allocator.settle()
    import torch
    from transformers import AutoConfig

    from backend.training import loss, methods
    from backend.training.optim.optimizers import updater
    from backend.training.parallel.execution import Execution

    child.blind()
    methods._network = lambda folder, plan, device, attention: child.network(folder, plan, attention)
    settings = gpu_shapes.config_of(name)
    folder = Path(tempfile.mkdtemp())
    AutoConfig.for_model(settings.pop("model_type"), **settings).save_pretrained(folder)
    plan = replace(
        Plan(method=method, quantization="nf4" if method == "qlora" else "none", max_length=length, micro_batch=1),
        **{"precision": "bfloat16", "packing": packed, **changes},
    )
    driver, execution = child.Driver(), Execution(plan, "cuda", flat=plan.attention == "varlen")
    loaded = methods.load(folder, name, execution)
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    update = updater(loaded.trainable(), execution)
    loss_of = (loss.chunked if plan.chunked_loss else loss.whole)(loaded.network)
    work = Work(loaded.network.config.vocab_size, plan, packed)
    counted: dict[str, int] = {}
    seconds = 0.0
    for step in range(STEPS + VARIED):
        batches = work.batches(execution, length if step < STEPS else work.shorter())
        before, began = driver.counts(), time.process_time()
        _step(update, step, loss_of, batches, execution)
        if step < STEPS:
            counted, seconds = child.since(before, driver.counts()), time.process_time() - began
    return {
        "row": [name, method, length, "packed" if packed else "rows", changes],
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
        "card": driver.count("peak"),
        "counted": counted,
        "host_seconds": round(seconds, 3),
        **_predicted(name, plan, length),
    }


class Work:
    """Random rows, in full sequences or shorter ones."""

    def __init__(self, vocabulary: int, plan: Plan, packed: bool) -> None:
        self._rng, self._vocabulary, self._plan, self._packed = np.random.default_rng(0), vocabulary, plan, packed

    def shorter(self) -> int:
        """Another length, as the next sequence may have."""
        return int(self._rng.integers(self._plan.max_length // 3, self._plan.max_length + 1))

    def batches(self, execution: Any, length: int) -> Any:
        """One micro-batch."""
        from backend.training.batches import micro_batches

        each = length // ROWS if self._packed else length
        count = self._plan.micro_batch * (ROWS if self._packed else 1)
        rows = [self._rng.integers(0, self._vocabulary, each).astype(np.int32) for _ in range(count)]
        return micro_batches([(ids, np.arange(each) > 0) for ids in rows], execution)


def _step(update: Any, number: int, loss_of: Any, batches: Any, execution: Any) -> None:
    from backend.training.step import forward_backward

    update.begin(number, 1e-5)
    forward_backward(loss_of, batches, update, execution)
    update.finish()


def _predicted(name: str, plan: Plan, length: int) -> dict[str, Any]:
    from backend import hardware
    from backend.planner import devices, memory

    device = devices.here(hardware.detect())
    peak = memory.predict(gpu_shapes.shape_of(name), plan, device, length)
    table = constants.memory().cuda
    context = table.context_hopper if (device.compute_capability or (0, 0)) >= (9, 0) else table.context
    return {
        "predicted_allocated": peak.peak_allocated_bytes,
        "predicted_reserved": peak.peak_bytes - context,
        "phase": peak.peak_phase,
    }


if __name__ == "__main__":
    changed = dict(text.split("=", 1) for text in sys.argv[5:])
    parsed = {key: fields.parse(key, value) for key, value in changed.items()}
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "packed", parsed)))
