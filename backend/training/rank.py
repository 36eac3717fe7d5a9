"""One rank of a run over several devices: `python -m backend.training.rank FOLDER RANK COUNT SCRATCH SINCE`.

Standard input is a pipe whose other end its parent holds (backend/run/several.py): when that closes, this process ends
in mid-step, as its parent did. What it failed of, or what would let it fit, goes into a file for the parent, which
tells it once for all ranks.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from backend.run.control import Inbox
from backend.run.events import EventLog
from backend.run.folder import RunFolder
from backend.run.several import FAILED, MEETING, START_AGAIN, Verdict
from backend.training import ranks as meeting
from backend.training import relief
from backend.training.advice import would_fit
from backend.training.failure import sentence
from backend.training.progress import Progress
from backend.training.quiet import libraries_to
from backend.training.ranks import Ranks
from backend.training.report import Report, Silent
from backend.training.session import restored
from backend.training.train import run


def main() -> int:
    """Train as this rank; 0 where that ended in a result, in a stop or in a pause."""
    path, rank, count, scratch, since = sys.argv[1:]
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    folder = RunFolder(Path(path))
    verdict = _train(folder, int(rank), int(count), Path(scratch), int(since))
    if verdict is None:
        return 0
    verdict.write(Path(scratch), int(rank))
    return START_AGAIN if verdict.changed else FAILED


def _train(folder: RunFolder, rank: int, count: int, scratch: Path, since: int) -> Verdict | None:
    with libraries_to(folder.log_file) as logger:
        log = Silent() if rank else EventLog(folder.events_file)
        try:
            ranks = meeting.join(rank, count, str(scratch / MEETING), folder.job().device)
            run(folder, Inbox(folder.commands_file, since), Report(log), ranks)
            _leave(ranks)
        except relief.RanOut as out:
            logger.exception("%s ran out of memory on rank %d", folder.name, rank)
            return _leaner(folder, rank, out)
        except Exception as error:
            logger.exception("%s failed on rank %d", folder.name, rank)
            return Verdict(sentence(error, folder.name))
    return None


def _leave(ranks: Ranks) -> None:
    """Nobody goes while another may still want something of it."""
    ranks.wait()
    meeting.leave()


def _leaner(folder: RunFolder, rank: int, out: relief.RanOut) -> Verdict:
    """What all ranks start again with; or that nothing is left, and what would fit."""
    job = folder.job()
    plan = restored(job.plan, Progress(adjusted=folder.adjusted()))
    if out.during == relief.LOADING:
        found = relief.leaner_weights(plan) if out.step == 0 else None
    else:
        found = relief.cheaper(plan, can_chunk=True, can_offload=job.device != "cpu")
    said = f"{out} (device {rank + 1} of {job.plan.processes})"
    if found is None:
        return Verdict(f"memory ran out in {out.during} with the leanest settings; {would_fit(job, plan)}", said)
    leaner, change = found
    return Verdict(change, said, out.during, out.step, relief.changes(plan, leaner))


def _end_with_parent() -> None:
    """Wait until the pipe closes; nothing is ever written to it."""
    while os.read(0, 1):
        pass
    os._exit(FAILED)


if __name__ == "__main__":
    sys.exit(main())
