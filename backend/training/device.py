"""The GPU of a run: the one that was planned for, where this box still has it."""

from __future__ import annotations

import os

import torch

from backend.errors import UserError
from backend.hardware import detect
from backend.run.job import Job

VARIABLE = "CUDA_VISIBLE_DEVICES"


def take(job: Job, rank: int = 0) -> None:
    """Let CUDA see the GPU only that was chosen for `rank`; on another box whatever is there is taken.

    CUDA reads the variable once, when it starts. Raises UserError where it has started with another GPU: it would
    train on that one.
    """
    if job.device != "cuda" or not job.device_uuids:
        return
    chosen = job.device_uuids[rank]
    seen = [gpu.uuid for gpu in detect().gpus]
    if torch.cuda.is_initialized() and seen != [chosen]:  # type: ignore[no-untyped-call]
        raise UserError(
            f"CUDA has started with another GPU than {chosen} in this process; leave fttui and start it again", "gpu"
        )
    if chosen in seen:
        os.environ[VARIABLE] = chosen
