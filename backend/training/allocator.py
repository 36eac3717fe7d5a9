"""Settings of torch's CUDA allocator, made before CUDA starts: it reads them at its first allocation. Loads no torch.

Big blocks fragment unless segments can grow in place. Whether they can on this box is tried once, in a process of its
own, since a refusal leaves CUDA unusable (`python -m backend.training.allocator` is that process).
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

from backend.hardware import detect, segments

SETTING = ("PYTORCH_ALLOC_CONF", "expandable_segments:True")
TRY_SECONDS = 120
TRY_BYTES = 32 << 20
NO_ANSWER = 3
"""Exit code of a try that could not allocate for another reason: the memory is full, or CUDA does not start at all."""


def settle() -> None:
    """Let segments grow in place if they can here. The user's own settings are left as they are."""
    if segments.asked_for(os.environ) is not None:
        return
    box = detect()
    if not box.gpus:
        return
    found = segments.known(box)
    if found.to_try:
        works = _tried()
        if works is not None:
            with suppress(OSError):  # it is tried again the next time
                segments.remember(box, works)
        found = segments.Segments(works is not False, "tried now")
    if found.expandable:
        name, value = SETTING
        os.environ[name] = value


def _tried() -> bool | None:
    """Whether a process with growing segments can allocate; None if that could not be found out."""
    command = [sys.executable, "-m", "backend.training.allocator"]
    environment = {**os.environ, SETTING[0]: SETTING[1]}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=TRY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode == NO_ANSWER else done.returncode == 0


def _try() -> int:
    """Allocate once on the GPU, as the trainer will."""
    import torch

    if not torch.cuda.is_available():  # not an answer: the driver may be repaired later
        return NO_ANSWER
    try:
        torch.empty(TRY_BYTES, dtype=torch.uint8, device="cuda").fill_(0)
        torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        return NO_ANSWER
    return 0


if __name__ == "__main__":
    sys.exit(_try())
