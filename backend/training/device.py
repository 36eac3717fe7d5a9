"""The GPU of a run: the one that was planned for, where this box still has it."""

from __future__ import annotations

import os

from backend.hardware import detect
from backend.run.job import Job

VARIABLE = "CUDA_VISIBLE_DEVICES"


def take(job: Job) -> None:
    """Let CUDA see the chosen GPU only. To be called before CUDA starts; on another box whatever is there is taken."""
    if job.device == "cuda" and job.device_uuid in {gpu.uuid for gpu in detect().gpus}:
        os.environ[VARIABLE] = str(job.device_uuid)
