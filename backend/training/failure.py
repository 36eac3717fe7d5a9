"""What went wrong, in one sentence for the user; the traceback is in the run's log file."""

from __future__ import annotations

from backend.errors import TrainingFailed, UserError
from backend.training.relief import is_out_of_memory
from backend.training.saving.disk import FULL, DiskFull

LONGEST = 300


def sentence(error: BaseException, run: str) -> str:
    """The failure of `run` in one sentence, with the mend where one is known."""
    if isinstance(error, UserError | TrainingFailed):
        return str(error)
    if isinstance(error, DiskFull):
        return f"the disk is full: {error}; {error.fix}, then `fttui resume {run}`"
    if isinstance(error, OSError) and error.errno in FULL:
        return f"the disk is full; free some space, then `fttui resume {run}`"
    if is_out_of_memory(error):
        return "memory ran out while the model was loaded or saved; choose a smaller model, or qlora"
    first = (str(error).strip() or "no further word").split("\n")[0]
    return f"{type(error).__name__}: {first[:LONGEST]}"
