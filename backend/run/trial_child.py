"""One method's trial, in a process of its own: `python -m backend.run.trial_child FOLDER`, standard input a pipe.

It belongs to whoever holds the pipe's other end. When that end closes, however its holder came to its end, this
process removes its folder and ends in mid-step: a trial is no run, and nothing of it is kept.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

from backend.run import launch
from backend.run.control import Inbox
from backend.run.folder import RunFolder

ABANDONED = 1


def main() -> int:
    """Train the folder that is named; 0 where that ended in a result."""
    folder = RunFolder(Path(sys.argv[1]))
    threading.Thread(target=_end_with_holder, args=(folder.path,), name="holder", daemon=True).start()
    return 0 if launch.train(folder, Inbox(folder.commands_file)) in ("done", "stopped") else 4


def _end_with_holder(path: Path) -> None:
    """Wait until the pipe closes; nothing is ever written to it."""
    while os.read(0, 1):
        pass
    shutil.rmtree(path, ignore_errors=True)
    os._exit(ABANDONED)


if __name__ == "__main__":
    sys.exit(main())
