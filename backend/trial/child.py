"""One method's trial, in a process of its own: `python -m backend.trial.child FOLDER`, standard input a pipe.

It belongs to whoever holds the pipe's other end. When that end closes, however its holder came to its end, this
process removes its folder and ends in mid-step: a trial is no run, and nothing of it is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from backend.launch import holder, launch
from backend.run.control import Inbox
from backend.run.folder import RunFolder


def main() -> int:
    """Train the folder that is named; 0 where that ended in a result."""
    folder = RunFolder(Path(sys.argv[1]))
    holder.end_with(folder.path)
    return 0 if launch.train(folder, Inbox(folder.commands_file)) in ("done", "stopped") else 4


if __name__ == "__main__":
    sys.exit(main())
