"""The GPU of a run: the one that was planned for, where this box still has it."""

from __future__ import annotations

import os

import torch

from backend.errors import UserError
from backend.hardware import detect
from backend.run.job import Job

VARIABLE = "CUDA_VISIBLE_DEVICES"


def take(job: Job) -> None:
    """Let CUDA see the chosen GPU only; on another box whatever is there is taken.

    CUDA reads the variable once, when it starts. Raises UserError where it has started with another GPU: it would
    train on that one.
    """
    chosen = job.device_uuid
    if job.device != "cuda" or not chosen:
        return
    seen = [gpu.uuid for gpu in detect().gpus]
    if torch.cuda.is_initialized() and seen != [chosen]:  # type: ignore[no-untyped-call]
        raise UserError(
            f"CUDA has started with another GPU than {chosen} in this process; leave fttui and start it again", "gpu"
        )
    if chosen in seen:
        os.environ[VARIABLE] = chosen
