"""The questions of tests/bench/gpu.py, each answered in a process of its own.

    python -m tests.bench.gpu_parts NAME ...

Every function prints its answer as one JSON object; sizes are bytes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.plan.plan import Plan
from backend.planner.throughput import Work
from tests.bench import gpu_shapes, made

KERNELS = {0: "math", 1: "flash", 2: "efficient", 3: "cudnn"}
ROWS = 8
"""Rows of a packed sequence."""
STOPS = 0.65
"""Fraction of its time after which a default run is told to stop; what it has measured by then is kept."""
SKIPPED = 2
"""First steps, which are not timed: kernels are chosen and optimizer states made in them."""


def box() -> dict[str, Any]:
    """What the box is, which attention kernels it takes, and whether a 4-bit layer is exact on it.

    What this torch or bitsandbytes can't say is named, and the rest is still measured.
    """
    try:
        from backend import hardware
        from backend.training import allocator

        allocator.settle()
        import torch
    except ImportError as error:
        return {"gpu": None, "reason": f"{type(error).__name__}: {error}"}

    found = hardware.detect()
    if not torch.cuda.is_available():
        return {"gpu": None, "reason": _why_none(found)}
    return {
        "gpu": torch.cuda.get_device_name(),
        "memory": found.gpus[0].memory_bytes if found.gpus else None,
        "torch_memory": torch.cuda.get_device_properties(0).total_memory,
        "versions": _or_why(lambda: _versions(found.driver)),
        "segments_grow": _or_why(lambda: torch.cuda.memory._snapshot()["allocator_settings"]["expandable_segments"]),
        "attention": _or_why(_attention),
        "four_bit": _or_why(_four_bit),
    }


def _why_none(found: Any) -> str | None:
    """Why torch finds no GPU: there is none, its build does not suit it, or what torch itself says."""
    import torch

    from backend.hardware import torch_build

    if found.no_gpu:
        return str(found.no_gpu.reason)
    wrong = torch_build.disagreements(found.torch, found.driver_cuda, found.gpus)
    return wrong[0].sentence if wrong else str(_or_why(torch.cuda.init))


def _or_why(look: Callable[[], Any]) -> Any:
    """What `look` finds, or a sentence on why it finds nothing: private names differ between torch's versions."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - of any kind, in any library
        return f"not known ({type(error).__name__}: {str(error).partition(chr(10))[0][:200]})"


def _versions(driver: str | None) -> str:
    import torch
    import transformers

    return f"torch {torch.__version__}, transformers {transformers.__version__}, driver {driver}"


def _attention() -> dict[str, str]:
    import torch

    query, key = (torch.empty(1, heads, 512, 128, device="cuda", dtype=torch.bfloat16) for heads in (32, 8))
    repeated, mask = key.repeat_interleave(4, dim=1), torch.ones(1, 1, 512, 512, dtype=torch.bool, device="cuda")
    taken = {
        "causal": torch._fused_sdp_choice(query, key, key, None, 0.0, True, enable_gqa=True),
        "masked": torch._fused_sdp_choice(query, repeated, repeated, mask),
    }
    return {name: KERNELS.get(kernel, str(kernel)) for name, kernel in taken.items()}


def _four_bit() -> dict[str, Any]:
    from backend.training.selfcheck import four_bit

    return vars(four_bit())


def make(name: str, folder: str) -> dict[str, Any]:
    """A model with random weights and a tokenizer, and rows of the demo repeated to be long."""
    import torch

    gpu_shapes.make(name, Path(folder), "cuda" if torch.cuda.is_available() else "cpu")
    made.write_tokenizer(Path(folder))
    made.rows(Path(folder) / "rows.jsonl", 400)
    return {}


def default(folder: str, method: Any, steps: str) -> dict[str, Any]:
    """A run as `fttui train` makes it: the plan that the planner chooses, packed rows, what was predicted beside it."""
    from backend.answers import Answers
    from backend.launch import launch
    from backend.planner import jobs, situation
    from backend.run.control import Inbox
    from backend.run.event_log import EventTail
    from backend.run.events import MemoryReading, RunFinished, StepDone
    from backend.run.folder import RunFolder

    settings = (f"max_steps={steps}", "eval_fraction=0", "keep_checkpoints=1", f"save_every={10**6}")
    answers = Answers(model=folder, data=f"{folder}/rows.jsonl", set=settings)
    seen = situation.predict(answers, None)
    job = jobs.job(seen, method)
    run = RunFolder.create(job)
    inbox = Inbox(run.commands_file)
    stop = threading.Timer(STOPS * float(os.environ.get("GPU_PART_SECONDS", "120")), inbox.put, ("stop",))
    stop.daemon = True
    stop.start()
    state = launch.train(run, inbox)
    events = list(EventTail(run.events_file).events())
    timed = [x for x in events if isinstance(x, StepDone)][SKIPPED:]
    memory = [x for x in events if isinstance(x, MemoryReading)]
    predicted = job.predicted
    assert predicted is not None
    seconds = sum(x.step_seconds or 0.0 for x in timed)
    return {
        "state": state,
        "error": next((x.error for x in events if isinstance(x, RunFinished)), None),
        "plan": _differences(job.plan),
        "tokens_per_second": sum(x.tokens or 0 for x in timed) / seconds if seconds else None,
        "predicted_tokens_per_second": predicted.tokens_per_second,
        "allocated": max((x.peak_bytes or 0 for x in memory), default=0),
        "predicted_allocated": predicted.peak_allocated_bytes,
        "reserved": max((x.peak_reserved_bytes or 0 for x in memory), default=0),
        "predicted": predicted.peak_bytes,
    }


def _differences(plan: Plan) -> dict[str, Any]:
    usual = vars(Plan())
    return {name: value for name, value in vars(plan).items() if value != usual[name]}


def relief(folder: str, method: Any, gib: str) -> dict[str, Any]:
    """A run that must run out of memory: with only `gib` GiB of the card, and 64 long rows at once."""
    from backend.training import allocator

    allocator.settle()
    import torch

    from backend.launch import launch
    from backend.plan.job import Job
    from backend.run.control import Inbox
    from backend.run.event_log import EventTail
    from backend.run.events import OutOfMemory, Replanned, StepDone
    from backend.run.folder import RunFolder
    from backend.training import kernels

    if torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(0.9, float(gib) * 2**30 / whole))
        kernels._keep_free = lambda: None  # it would give the whole card back
    plan = Plan(
        method=method,
        quantization="nf4" if method == "qlora" else "none",
        max_length=1024,
        micro_batch=64,
        effective_batch=64,
        packing=False,
        checkpointing=False,
        chunked_loss=False,
        max_steps=3,
        learning_rate=1e-5,
        eval_fraction=0.0,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run = RunFolder.create(Job(folder, folder, f"{folder}/rows.jsonl", plan, device=device, device_name="this one"))
    state = launch.train(run, Inbox(run.commands_file))
    events = list(EventTail(run.events_file).events())
    return {
        "state": state,
        "out_of_memory": sum(isinstance(x, OutOfMemory) for x in events),
        "changed": [x.text for x in events if isinstance(x, Replanned)],
        "losses": [round(x.loss, 3) for x in events if isinstance(x, StepDone) and x.loss is not None],
    }


def row(folder: str, name: str, method: Any, settings: str, length: str, how: str) -> dict[str, Any]:
    """Steps of one plan on full sequences: peaks by the allocator, tokens a second, what was predicted beside them."""
    from backend.training import allocator

    allocator.settle()
    import torch

    from backend.training import loss, methods
    from backend.training.attention import rows
    from backend.training.optim.optimizers import updater
    from backend.training.parallel.execution import Execution
    from backend.training.step import forward_backward

    device = "cuda" if torch.cuda.is_available() else "cpu"
    plan = plan_of(method, settings, int(length), how == "packed")
    flat = plan.packing and rows.has_kernel(device)  # as the planner has it
    plan = replace(plan, attention="varlen") if flat else plan
    execution = Execution(plan, device, flat=flat)
    loaded = methods.load(Path(folder), name, execution)
    update = updater(loaded.trainable(), execution)
    loss_of = (loss.chunked if plan.chunked_loss else loss.whole)(loaded.network)
    batches = some_batches(loaded.network.config.vocab_size, execution, [int(length)] * 1)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for step in range(SKIPPED + 4):
        began = _now(device)
        update.begin(step, 1e-5)
        forward_backward(loss_of, batches, update, execution)
        update.finish()
        seconds.append(_now(device) - began)
    timed = seconds[SKIPPED:]
    return {
        "tokens_per_second": int(length) * len(timed) / sum(timed),
        "allocated": torch.cuda.max_memory_allocated() if device == "cuda" else 0,
        "reserved": torch.cuda.max_memory_reserved() if device == "cuda" else 0,
        **_predicted(name, plan, device),
    }


def shapes(folder: str, name: str, length: str, cudnn: str) -> dict[str, Any]:
    """What a new sequence length costs: six of them, each twice; with and without cuDNN's attention."""
    from backend.training import allocator

    allocator.settle()
    import torch

    from backend.training import loss, methods
    from backend.training.optim.optimizers import updater
    from backend.training.parallel.execution import Execution
    from backend.training.step import forward_backward

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.enable_cudnn_sdp(cudnn == "with cuDNN")
    plan = plan_of("lora", "lean", int(length), packed=False)
    execution = Execution(plan, device)
    loaded = methods.load(Path(folder), name, execution)
    update, loss_of = updater(loaded.trainable(), execution), loss.chunked(loaded.network)
    lengths = [int(length) - 128 * number for number in range(6)]
    seconds = []
    for step, each in enumerate([*lengths, *lengths]):
        batches = some_batches(loaded.network.config.vocab_size, execution, [each])
        began = _now(device)
        update.begin(step, 1e-5)
        forward_backward(loss_of, batches, update, execution)
        update.finish()
        seconds.append(round(_now(device) - began, 3))
    return {"new": seconds[1:6], "known": seconds[7:]}


def plan_of(method: Any, settings: str, length: int, packed: bool) -> Plan:
    """One sequence of `length` tokens a pass. lean: recomputed, loss in chunks, full with 8-bit states in backward."""
    lean = settings == "lean"
    plan = Plan(
        method=method,
        quantization="nf4" if method == "qlora" else "none",
        max_length=length,
        micro_batch=1,
        effective_batch=1,
        packing=packed,
        checkpointing=lean,
        chunked_loss=lean,
    )
    if not (lean and method == "full"):
        return plan
    return replace(
        plan, optimizer="adamw_8bit", optimizer_in_backward=True, weights_dtype="bfloat16", max_grad_norm=0.0
    )


def some_batches(vocabulary: int, execution: Any, lengths: list[int]) -> Any:
    """A micro-batch for each length, of random tokens; of eight rows if they are packed."""
    import numpy as np

    from backend.training.batches import micro_batches

    rng, parts = np.random.default_rng(0), ROWS if execution.plan.packing else 1
    rows = [rng.integers(0, vocabulary, length // parts).astype(np.int32) for length in lengths for _ in range(parts)]
    return micro_batches([(ids, np.arange(len(ids)) > 0) for ids in rows], execution)


def _now(device: str) -> float:
    """Seconds, when the device has done all its work."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def work_of(plan: Plan) -> Work:
    """One full sequence, all of whose tokens are target tokens."""
    length = plan.max_length
    return Work(length, length, length, 0.0, length / (ROWS if plan.packing else 1))


def _predicted(name: str, plan: Plan, device: str) -> dict[str, Any]:
    from backend import hardware
    from backend.planner import devices, memory, throughput

    shape, here = gpu_shapes.shape_of(name), devices.here(hardware.detect())
    peak, length, load = memory.predict(shape, plan, here, plan.max_length), plan.max_length, work_of(plan)
    seconds = throughput.step_seconds(shape, plan, here, load) if device == "cuda" else None
    return {
        "predicted_tokens_per_second": length / seconds.point if seconds else None,
        "predicted_allocated": peak.peak_allocated_bytes,
        "predicted": peak.peak_bytes,
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:]), default=str))
