"""What would fit by the planner's formulas: advice after memory ran out, and how many answers to generate at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psutil

from backend import units
from backend.errors import UserError
from backend.model.local import read_folder
from backend.model.shape import ModelShape
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.planner import memory
from backend.planner.device import Device
from backend.training import locate

SHORTEST = 128
"""The shortest `max_length` that is proposed."""
MARGIN = 0.85
"""A proposal may be predicted to take this share of the memory that ran out: the prediction was too low."""


def task_batch(job: Job, plan: Plan) -> int:
    """Questions of a task to answer together, so that training stays the peak."""
    try:
        shape = read_folder(locate.on_this_box(job), job.model).shape
    except UserError:
        return 1
    return memory.task_batch(shape, plan)


def would_fit(job: Job, plan: Plan) -> str:
    """`choose a max_length of 1024 (about 6.1 GiB by the plan's formulas)`; a smaller model if nothing else helps.

    `plan` is the one that ran out of memory, with the leanest settings.
    """
    try:
        shape = read_folder(locate.on_this_box(job), job.model).shape
    except UserError:
        return "choose a shorter max_length, or a smaller model"
    device = _device(job)
    room = MARGIN * min(device.memory_bytes, _peak(shape, plan, device))
    for change, proposal in _proposals(plan):
        peak = _peak(shape, proposal, device)
        if peak <= room:
            return f"choose {change} (about {units.memory(peak)} by the plan's formulas)"
    return "choose a smaller model"


def _proposals(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Shorter rows with the same method, then the leaner methods."""
    lean = replace(plan, micro_batch=1, chunked_loss=True, checkpointing=True)
    length = plan.max_length // 2
    while length >= SHORTEST:
        yield f"a max_length of {length}", replace(lean, max_length=length)
        length //= 2
    if plan.method == "full":
        yield "lora", replace(lean, method="lora", optimizer_in_backward=False)
    if plan.method != "qlora":
        yield "qlora", replace(lean, method="qlora", quantization="nf4", optimizer_in_backward=False)


def _peak(shape: ModelShape, plan: Plan, device: Device) -> int:
    return memory.predict(shape, plan, device, plan.max_length).peak_bytes


def _device(job: Job) -> Device:
    """The run's device, as far as the formulas need it."""
    total = job.predicted.device_bytes if job.predicted else psutil.virtual_memory().total
    return Device(
        kind="cuda" if job.device == "cuda" else "cpu",
        name=job.device_name,
        count=1,
        memory_bytes=total,
        free_bytes=total,
        flops_per_second=0.0,
        bytes_per_second=0.0,
        bf16=True,
        compute_capability=None,
        price=None,
        here=True,
    )
