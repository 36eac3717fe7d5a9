"""Which kernels a run takes: those of its plan, or the fastest of those that are there, timed on its own rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from backend.measured import kernels as measured
from backend.measured.kernels import Kernels
from backend.plan.plan import Plan
from backend.training import checks, compiling, fused, loss
from backend.training.batches import Batch, Row, micro_batches
from backend.training.methods import Loaded
from backend.training.parallel import sharding
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.report import Report

TURNS = 3
"""Passes of each candidate that are timed, after one that is not; the fastest counts."""
WORTH = 1.02
"""Kernels other than transformers' own are used if they are faster by this factor."""


def settle(execution: Execution, loaded: Loaded, rows: Sequence[Row], device_name: str, report: Report) -> Plan:
    """The plan with the kernels that are in use from now on. Only a run on a GPU measures, before its first step."""
    plan = execution.plan
    if plan.measure_kernels and execution.device == "cuda" and rows and not sharding.is_sharded(loaded.network):
        report.phase("kernels")  # a separate phase, so that loading is measured alone
        plan = _fastest(execution, loaded, rows, device_name, report)
        report.phase("load")
    if plan.kernels == "fused" and (why := use_fused(loaded, plan)):
        report.warn(f"fused kernels are not used: {why}; training goes on with transformers' own")
        plan = replace(plan, kernels="stock")
    return replace(plan, measure_kernels=False)


def use_fused(loaded: Loaded, plan: Plan) -> str | None:
    """Switch to Liger's kernels, tested as a step would run them. Returns why that fails, None if it works."""
    device = next(iter(loaded.network.parameters())).device.type
    try:
        with autocast(plan, device):
            fused.patch(loaded.network)
    except fused.NotThere as why:
        return str(why)
    return None


def _fastest(execution: Execution, loaded: Loaded, rows: Sequence[Row], device_name: str, report: Report) -> Plan:
    plan = execution.plan
    batches = micro_batches(rows, execution)
    largest = max(batches, key=lambda batch: batch.input_ids.numel())
    seconds = time_each(candidates(loaded, plan), lambda: _pass(loaded, largest, execution))
    if len(seconds) < 2:
        return plan
    best = choose(seconds)
    config = loaded.network.config.get_text_config()
    name = measured.key(device_name, config.model_type, config.hidden_size, config.num_hidden_layers, plan)
    measured.remember(name, seconds)
    listed = ", ".join(f"{kernels} {1000 * x:.0f} ms" for kernels, x in seconds.items())
    report.say(f"kernels, a pass of {largest.input_ids.numel():,} tokens: {listed}; {best} is taken")
    return replace(plan, kernels=best)


Candidate = tuple[Kernels, Callable[[], str | None], Callable[[], None]]
"""Its name, a function that switches it on (returns why that fails, None if it works), one that switches it off."""


def candidates(loaded: Loaded, plan: Plan) -> list[Candidate]:
    """The kernels that are timed. Compiled blocks are not: they take minutes to make, and have to be asked for."""
    return [
        ("stock", lambda: None, lambda: None),
        ("fused", lambda: use_fused(loaded, plan), lambda: fused.restore(loaded.network)),
    ]


def time_each(some: Sequence[Candidate], run: Callable[[], float]) -> dict[Kernels, float]:
    """Seconds of the fastest of some passes, for each candidate that works.

    A candidate that runs out of memory is left out. Kernels other than transformers' own are left out if they fail in
    any way: a run does not end because of what would only have made it faster.
    """
    found: dict[Kernels, float] = {}
    for name, use, undo in some:
        if use() is None:
            try:
                run()
                found[name] = min(run() for _ in range(TURNS))
            except Exception as error:
                if name == "stock" and not isinstance(error, torch.OutOfMemoryError):
                    raise
            finally:
                undo()
    return found


def choose(seconds: dict[Kernels, float]) -> Kernels:
    """The fastest kernels if they gain enough, else transformers' own."""
    best = min(seconds, key=lambda name: seconds[name])
    usual = seconds.get("stock", float("inf"))
    return best if seconds[best] * WORTH < usual else "stock"


def _pass(loaded: Loaded, batch: Batch, execution: Execution) -> float:
    """Seconds of a forward and backward pass; nothing is learned from it, and no random number is used up."""
    loss_of = loss.chunked if execution.plan.chunked_loss else loss.whole
    torch.cuda.synchronize()
    start = time.perf_counter()
    with torch.random.fork_rng(), autocast(execution.plan, execution.device):
        total = loss_of(loaded.network)(batch)
        torch.autograd.grad(total, list(loaded.trainable().values()), allow_unused=True)
    torch.cuda.synchronize()
    return time.perf_counter() - start


def compiled(execution: Execution, loaded: Loaded, report: Report) -> Execution:
    """Compile the blocks if the plan says so; if they can't be compiled, the log says why and the plan drops it."""
    plan = execution.plan
    if not (plan.compile or plan.kernels == "compiled"):
        return execution
    without = replace(execution, plan=replace(plan, compile=False, kernels="stock"))
    if sharding.is_sharded(loaded.network):
        report.warn("a model over several devices is not compiled; training goes on without it")
        return without
    report.say("compiling the blocks; the first steps take longer too")
    network = loaded.network
    reason = compiling.compile_blocks(network, checks.some_batch(network, execution), execution)
    if reason is None:
        return replace(execution, plan=replace(plan, compile=True, kernels="compiled"))
    report.warn(f"torch.compile does not work here ({reason}); training goes on without it")
    return without
