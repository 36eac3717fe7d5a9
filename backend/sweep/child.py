"""One setting of a sweep up to a step, in a process of its own: `python -m backend.sweep.child FOLDER STEP`.

Standard input is a pipe whose other end the sweep holds; when that closes, this process ends.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from backend.errors import TRAINING_FAILED
from backend.launch import launch
from backend.run import control
from backend.run.control import Inbox
from backend.run.folder import RunFolder


def main() -> int:
    """Train the folder up to the step; the exit code is 0 if it got there."""
    folder, step = RunFolder(Path(sys.argv[1])), int(sys.argv[2])
    inbox = Inbox(folder.commands_file)
    control.send_pause_at(folder.commands_file, step)
    threading.Thread(target=_stop_when_alone, args=(folder,), daemon=True).start()
    return 0 if launch.train(folder, inbox) in ("done", "paused", "stopped") else TRAINING_FAILED


def _stop_when_alone(folder: RunFolder) -> None:
    """The sweep has ended: stop at the next step, with a checkpoint."""
    while os.read(0, 1):  # nothing is ever written; a read by `sys.stdin` would hold its lock when Python ends
        pass
    control.send(folder.commands_file, "pause")


if __name__ == "__main__":
    sys.exit(main())
