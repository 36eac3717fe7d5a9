"""One run of fttui's trainer, or of the plainest packed loop.

    python -m tests.bench.trainer_runs SETTING MODEL ROWS JSON

SETTING: `fttui-bf16`, `fttui-fp32`, `fttui-chunked` (bfloat16, logits never whole), `plain-bf16` or `plain-fp32`.
Prints one line of JSON: seconds of the steps, tokens trained on (padding not counted), peak resident memory.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import events_on_disk

NEVER = 1_000_000


def main() -> None:
    """Train one epoch and print the figures."""
    setting, model, rows, text = sys.argv[1:]
    options = json.loads(text)
    kind, _, variant = setting.partition("-")
    run = plain if kind == "plain" else fttui
    found = run(variant, Path(model), Path(rows), options)
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))


def fttui(variant: str, model: Path, rows: Path, options: dict[str, Any]) -> dict[str, Any]:
    """A whole run as `fttui train` makes it, without held-out rows."""
    from backend.launch import launch
    from backend.plan.job import Job
    from backend.plan.plan import Plan
    from backend.run.folder import RunFolder

    method = options["method"]
    plan = Plan(
        method=method,
        quantization="none",
        precision="float32" if variant == "fp32" else "bfloat16",
        chunked_loss=variant == "chunked",
        attention="varlen",  # as the planner sets it for packed rows on a CPU
        epochs=1,
        max_length=options["length"],
        effective_batch=options["batch"],
        learning_rate=2e-4 if method == "lora" else 2e-5,
        eval_fraction=0.0,
        eval_every=NEVER,
        save_every=NEVER,
    )
    with home():
        job = Job(str(model), str(model), str(rows), plan, device="cpu", device_name="CPU")
        folder = RunFolder.create(job)
        trainer = launch.start(folder)  # in a thread, as in the product
        trainer.join()
        if trainer.state != "done":
            raise SystemExit(folder.log_file.read_text())
        (end,) = events_on_disk.read(folder.events_file, "run_finished")
    return {"seconds": end["train_seconds"], "tokens": end["tokens"], "steps": end["step"], "loss": end["loss"]}


def plain(variant: str, model: Path, rows: Path, options: dict[str, Any]) -> dict[str, Any]:
    """A simple hand-written loop: the rows of a step in one sequence without padding, whole logits, fused AdamW."""
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).train()
    if options["method"] == "lora":
        from peft import LoraConfig, get_peft_model

        settings = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        network = get_peft_model(network, settings)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=2e-5, fused=True)
    steps = list(packed_steps(model, rows, options))
    tokens = sum(ids.numel() for ids, _, _ in steps)
    began = time.perf_counter()
    for ids, positions, labels in steps:
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == "bf16"):
            logits = network(input_ids=ids, position_ids=positions, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[0, :-1].float(), labels[0, 1:])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "tokens": tokens, "steps": len(steps), "loss": float(loss)}


def packed_steps(model: Path, rows: Path, options: dict[str, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Ids, restarting positions and labels of each step, tokenised and masked as fttui does it."""
    import numpy as np
    import torch

    from backend.data.prepare import prepare

    with home():
        data = prepare(str(rows), (), model, options["length"], 0.0, 0).train
        order = np.random.default_rng(0).permutation(len(data))
        for start in range(0, len(data), options["batch"]):
            some = [data[int(at)] for at in order[start : start + options["batch"]]]
            ids = torch.from_numpy(np.concatenate([row for row, _ in some]).astype(np.int64))[None]
            positions = torch.from_numpy(np.concatenate([np.arange(len(row)) for row, _ in some]))[None]
            scored = torch.from_numpy(np.concatenate([mask for _, mask in some]))[None]
            yield ids, positions, torch.where(scored, ids, -100)


@contextmanager
def home() -> Iterator[None]:
    """A home of its own, thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FTTUI_HOME"] = folder
        yield


if __name__ == "__main__":
    main()
