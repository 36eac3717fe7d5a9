"""The GPU of a run: the one that was planned for, if this box still has it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from backend.errors import UserError
from backend.hardware import detect, visible
from backend.plan.job import Job
from backend.training import allocator, known_failures


def take(job: Job, rank: int = 0, count: int | None = None) -> None:
    """Let CUDA see only the GPU that was chosen for `rank`; on another box each rank takes one of those that are there.

    `rank` is one of the `count` ranks on this box; `count` defaults to all of the plan's. CUDA reads the variable
    once, when it starts. Raises UserError if it has started with another GPU, on which the run would train, or if
    there are fewer GPUs than ranks.
    """
    if job.device != "cuda":
        return
    _see_only(job, rank, count or job.plan.processes)
    allocator.settle()


def start(job: Job) -> None:
    """Start CUDA; a GPU can't be chosen afterwards. Raises UserError if torch can't use the planned GPU.

    A container may show the driver's library that describes a GPU, and lack the one that computes on it.
    """
    if job.device != "cuda":
        return
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        said = str(error).partition("\n")[0]
        known = known_failures.sentence(error) or f"torch can't use the GPU: {said}; `fttui doctor` says what to do"
        raise UserError(known, "gpu") from error


def _see_only(job: Job, rank: int, count: int) -> None:
    seen = [gpu.uuid for gpu in detect().gpus]
    chosen = _chosen(job, rank, count, seen)
    if chosen is None:
        return
    if torch.cuda.is_initialized() and seen != [chosen]:  # type: ignore[no-untyped-call]
        raise UserError(
            f"CUDA has started with another GPU than {chosen} in this process; leave fttui and start it again", "gpu"
        )
    if chosen in seen:
        os.environ[visible.VARIABLE] = chosen


def _chosen(job: Job, rank: int, count: int, seen: Sequence[str]) -> str | None:
    """The planned GPU if all planned ones are here; on another box the rank's own of those that are there."""
    if job.plan.processes == 1:
        return job.device_uuids[0] if job.device_uuids else None
    if len(seen) < count:
        fix = f"`fttui resume --processes {len(seen)}` goes on with fewer" if seen else "`fttui doctor` says why"
        raise UserError(f"the run was planned for {count} GPUs and there are {len(seen)} here; {fix}", "processes")
    return (job.device_uuids if set(job.device_uuids) <= set(seen) and job.device_uuids else seen)[rank]
