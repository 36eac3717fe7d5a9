"""What went wrong, in one sentence for the user; the traceback is in the run's log file.

Imports no torch: that torch can't be imported is one of the failures.
"""

from __future__ import annotations

import errno
from pathlib import Path

from backend.errors import TrainingFailed, UserError
from backend.run.json_lines import Removed
from backend.training import known_failures
from backend.training.saving.disk import FULL, DiskFull

LONGEST = 300
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc_failed",
    "nvml_success == r internal assert",
)
"""Parts of what torch, CUDA, cuBLAS and the C++ library say when an allocation fails.

The last one: when memory runs out, torch's allocator asks NVML which programs hold it, and if NVML does not answer (a
MIG slice, WSL, Jetson), that question fails instead (torch 2.11, CUDACachingAllocator.cpp).
"""


def sentence(error: BaseException, run: str) -> str:
    """The failure of `run` in one sentence, with the fix if one is known."""
    if isinstance(error, UserError | TrainingFailed):
        return str(error)
    if isinstance(error, Removed):
        return _removed(error, run)
    if isinstance(error, DiskFull):
        return f"the disk is full: {error}; {error.fix}, then `fttui resume {run}`"
    if isinstance(error, OSError) and error.errno in FULL:
        return f"the disk is full; free some space, then `fttui resume {run}`"
    if is_out_of_memory(error):
        return "memory ran out while the model was loaded or saved; choose a smaller model, or qlora"
    if isinstance(error, ImportError):
        return not_importable(error)
    if is_panic(error):
        return (
            f"the tokenizer's own code failed on a row ({first_line(error)}); look for a row of extreme length or of "
            "endless spaces with `fttui data`, and leave it out"
        )
    if known := known_failures.sentence(error):
        return known
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename} can't be used: {error.strerror.lower()}; check its path and its permissions"
    return f"{type(error).__name__}: {first_line(error)}"


def _removed(error: Removed, run: str) -> str:
    """The run's folder, or only its event file, was deleted or moved by hand while it trained."""
    events = Path(error.filename)
    if events.parent.is_dir():
        return f"{events} was removed or moved while the run trained; `fttui resume {run}` goes on from its checkpoints"
    return (
        f"the run's folder {events.parent} was removed or moved while it trained, so that nothing can be kept: "
        "training was ended; start the run again"
    )


def not_importable(error: BaseException) -> str:
    """The sentence for a library that is missing or broken, from whatever its import raised."""
    cause = error
    while cause.__cause__ is not None:  # transformers wraps what it met
        cause = cause.__cause__
    return (
        f"a library that training needs can't be imported ({first_line(cause)}); "
        "`fttui doctor` looks for what is missing and says what to install"
    )


def is_panic(error: BaseException) -> bool:
    """Whether it is a panic of a Rust library (tokenizers, safetensors), which is not an `Exception`."""
    return type(error).__name__ == "PanicException"


def is_out_of_memory(error: BaseException) -> bool:
    """An allocation failed, on the device or in host memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's own, a RuntimeError
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(part in str(error).lower() for part in OUT_OF_MEMORY)


def first_line(error: BaseException) -> str:
    """The beginning of what an error says, or its name if it says nothing."""
    return (str(error).strip() or f"{type(error).__name__} without a message").split("\n")[0][:LONGEST]
