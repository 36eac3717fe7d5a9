"""One method's trial, in a process of its own: `python -m backend.trial.child FOLDER`, standard input a pipe.

The parent holds the pipe's other end. When that closes, however the parent ended, this process removes its folder and
ends in the middle of a step: a trial is not a run, and none of it is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from backend.errors import TRAINING_FAILED
from backend.launch import holder, launch
from backend.run.control import Inbox
from backend.run.folder import RunFolder


def main() -> int:
    """Train the folder that is named; the exit code is 0 if that ended in a result."""
    folder = RunFolder(Path(sys.argv[1]))
    holder.end_with(folder.path)
    return 0 if launch.train(folder, Inbox(folder.commands_file)) in ("done", "stopped") else TRAINING_FAILED


if __name__ == "__main__":
    sys.exit(main())
