"""A child process ends when its parent does: the parent holds the other end of its standard input."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

ABANDONED = 1


def end_with(scratch: Path) -> None:
    """From now on: when the pipe closes, however the parent ended, remove `scratch` and end, in the middle of a step.

    Nothing is ever written to the pipe. A parent that was killed can't remove `scratch` itself.
    """
    threading.Thread(target=_wait, args=(scratch,), name="holder", daemon=True).start()


def _wait(scratch: Path) -> None:
    while os.read(0, 1):
        pass
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(ABANDONED)
