"""The GPU of a run: the one that was planned for, where this box still has it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from backend.errors import UserError
from backend.hardware import detect, visible
from backend.plan.job import Job


def take(job: Job, rank: int = 0) -> None:
    """Let CUDA see the GPU only that was chosen for `rank`; on another box whatever is there is taken, one for each.

    CUDA reads the variable once, when it starts. Raises UserError where it has started with another GPU: it would
    train on that one; and where there are fewer GPUs than ranks.
    """
    if job.device != "cuda":
        return
    seen = [gpu.uuid for gpu in detect().gpus]
    chosen = _chosen(job, rank, seen)
    if chosen is None:
        return
    if torch.cuda.is_initialized() and seen != [chosen]:  # type: ignore[no-untyped-call]
        raise UserError(
            f"CUDA has started with another GPU than {chosen} in this process; leave fttui and start it again", "gpu"
        )
    if chosen in seen:
        os.environ[visible.VARIABLE] = chosen


def _chosen(job: Job, rank: int, seen: Sequence[str]) -> str | None:
    """As planned where all of them are here; of several devices elsewhere each rank takes its own."""
    count = job.plan.processes
    if count == 1:
        return job.device_uuids[0] if job.device_uuids else None
    if len(seen) < count:
        raise UserError(
            f"the run was planned for {count} GPUs and there are {len(seen)} here; start a new one with "
            f"--set processes={max(1, len(seen))}",
            "processes",
        )
    return (job.device_uuids if set(job.device_uuids) <= set(seen) and job.device_uuids else seen)[rank]
