"""Some optimizer steps of several kinds of training on each of a few ranks, started by torchrun: `rank_steps.py MODEL`.

Prints a line of JSON for each kind: the losses and norms of its steps, a held-out loss, the sum of what was trained,
and how much of it the rank held once it was loaded.
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from backend.launch import place as places
from backend.plan.plan import Plan
from backend.training import loss, methods, rng
from backend.training.batches import micro_batches
from backend.training.evaluate import held_out_loss
from backend.training.optim.optimizers import updater
from backend.training.parallel import ranks
from backend.training.parallel.execution import Execution
from backend.training.parallel.ranks import Ranks
from backend.training.parallel.sharding import whole
from backend.training.preference import PreferenceLoss, preference_batches
from backend.training.step import forward_backward
from tests.backend.training.helpers import marked, plan, random_rows, some_pairs

STEPS = 3
KINDS: dict[str, Plan] = {
    "lora": plan("lora"),
    "qlora": plan("qlora"),
    "full": plan("full"),
    "lora, unpacked": plan("lora", packing=False),
    "lora, chunked and recomputed": plan("lora", chunked_loss=True, checkpointing=True),
    "lora in bfloat16": plan("lora", precision="bfloat16", adapter_dtype="bfloat16"),
    "lora in float16": plan("lora", precision="float16"),
    "lora, dpo": plan("lora", objective="dpo", packing=False, micro_batch=2),
    "qlora, kto": plan("qlora", objective="kto", packing=False, micro_batch=2),
    "full, chunked and recomputed": plan("full", chunked_loss=True, checkpointing=True),
    "full, unpacked": plan("full", packing=False, micro_batch=1),
    "full, 8-bit": plan("full", optimizer="adamw_8bit"),
    "full, in the backward pass": plan("full", optimizer_in_backward=True),
    "full, 8-bit in the backward pass": plan("full", optimizer="adamw_8bit", optimizer_in_backward=True),
    "full in float16": plan("full", precision="float16"),
    "full, autocast": plan("full", precision="bfloat16"),
    "full, 16-bit weights": plan("full", precision="bfloat16", weights_dtype="bfloat16"),
    "full, 16-bit weights in the backward pass": plan(
        "full", precision="bfloat16", weights_dtype="bfloat16", optimizer_in_backward=True
    ),
}


def steps(model: Path, settings: Plan, among: Ranks) -> dict[str, Any]:
    """Train for STEPS steps of eight rows; the last of them has fewer rows than there are ranks."""
    execution = Execution(settings, "cpu", ranks=among)
    rng.seed(0)
    gc.collect()
    before = _held_bytes()
    it = methods.load(model, str(model), execution)
    gc.collect()
    whole_bytes = sum(p.numel() * p.element_size() for p in it.trainable().values())
    most = 1.2 / among.count if settings.method == "full" else math.inf
    held_share = (_held_bytes_at_rest(before + most * whole_bytes) - before) / whole_bytes
    update = updater(it.trainable(), execution)
    loss_of = _loss(it, execution)
    found: dict[str, Any] = {"losses": [], "norms": [], "held_share": held_share}
    for number in range(STEPS):
        batches, scored = _batches(1 if number == STEPS - 1 else 8, number, execution)
        update.begin(number, 1e-3)
        mean = among.sum(forward_backward(loss_of, batches, update, execution, scored))
        norm = update.finish()
        found["losses"].append(float(mean))
        found["norms"].append(float(norm))
    others: Any = _rows(5, 9, settings)
    found["held_out"] = held_out_loss(it.network, loss_of, others, execution, lambda: False)
    with torch.no_grad():
        values = [whole(p).double() for p in it.trainable().values()]
    found["sum"] = float(sum(x.sum() for x in values))
    found["alike"] = len(set(among.all_of(found["sum"]))) == 1
    return found


def _loss(it: methods.Loaded, execution: Execution) -> Any:
    if execution.plan.objective != "sft":
        return PreferenceLoss(it.network, execution)
    return (loss.chunked if execution.plan.chunked_loss else loss.whole)(it.network)


def _rows(count: int, seed: int, settings: Plan) -> list[Any]:
    if settings.objective == "sft":
        return random_rows(count, seed=seed)
    pairs = some_pairs(count + seed)[seed:]
    return pairs if settings.objective == "dpo" else marked(pairs)


def _batches(count: int, seed: int, execution: Execution) -> tuple[Any, int]:
    """This rank's micro-batches, and the target tokens or preferences of all ranks."""
    rows = _rows(count, seed, execution.plan)
    if execution.plan.objective != "sft":
        return preference_batches(rows, execution), count
    return micro_batches(rows, execution), sum(int(scored[1:].sum()) for _, scored in rows)


def _held_bytes() -> int:
    """Of all tensors that are alive in this process."""
    storages = {}
    for x in gc.get_objects():
        if type(x) in (torch.Tensor, torch.nn.Parameter):
            storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
    return sum(storages.values())


def _held_bytes_at_rest(most: float) -> int:
    """The bytes held, once they are at most this much: a thread that loads weights may hold one for a moment."""
    until = time.monotonic() + 2.0
    while (held := _held_bytes()) > most and time.monotonic() < until:
        time.sleep(0.02)
    return held


def main() -> None:
    """Print what each kind finds, on the first rank."""
    place = places.of_elastic()
    torch.set_num_threads(1)
    among = ranks.join(place.rank, place.count, place.meeting, "cpu")
    for name, settings in KINDS.items():
        found = steps(Path(sys.argv[1]), settings, among)
        if among.is_first:
            print(json.dumps({"kind": name, **found}), flush=True)
    among.wait()
    ranks.leave()
    os._exit(0)  # as the product's ranks end: Python's cleanup sometimes aborts while gloo's threads run (torch 2.13)


if __name__ == "__main__":
    main()
