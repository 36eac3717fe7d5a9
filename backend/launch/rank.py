"""One rank of a run over several devices: `python -m backend.launch.rank FOLDER RANK COUNT SCRATCH SINCE`.

Standard input is a pipe whose other end the parent holds (backend/launch/several.py): when it closes, this process ends
at once, in the middle of a step. What went wrong, or what would fit, goes into a file from which the parent tells the
user once for all ranks.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from backend import signals
from backend.launch import holder
from backend.launch.place import Place
from backend.launch.several import FAILED, MEETING, START_AGAIN, RankOutcome
from backend.run.control import Inbox
from backend.run.folder import RunFolder


def main() -> None:
    """Train as this rank; the exit code is 0 if that ended in a result, a stop or a pause.

    Ends without the interpreter's cleanup: if another rank is gone, a GPU that waits for it would block that forever.
    """
    signals.ignore()
    path, rank, count, scratch, since = sys.argv[1:]
    holder.end_with(Path(scratch))
    outcome = _train(RunFolder(Path(path)), int(rank), int(count), Path(scratch), int(since))
    code = 0
    if outcome:
        outcome.write(Path(scratch), int(rank))
        code = START_AGAIN if outcome.changed else FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _train(folder: RunFolder, rank: int, count: int, scratch: Path, since: int) -> RankOutcome | None:
    try:
        from backend.launch import rank_training  # loads torch: here a failure can be reported
    except Exception as error:  # noqa: BLE001 - a broken library raises whatever it likes
        from backend.training.failure import not_importable

        traceback.print_exc()  # standard error is the run's log
        return RankOutcome(not_importable(error))
    place = Place(rank, count, rank, count, f"file://{scratch / MEETING}")
    return rank_training.train(folder, place, Inbox(folder.commands_file, since))


if __name__ == "__main__":
    main()
