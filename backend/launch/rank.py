"""One rank of a run over several devices: `python -m backend.launch.rank FOLDER RANK COUNT SCRATCH SINCE`.

Standard input is a pipe whose other end its parent holds (backend/launch/several.py): when that closes, this process
ends in mid-step, as its parent did. What it failed of, or what would let it fit, goes into a file for the parent, which
tells it once for all ranks.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from backend.launch import holder
from backend.launch.several import FAILED, MEETING, START_AGAIN, RankOutcome
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.control import Inbox
from backend.run.event_log import EventLog
from backend.run.events import PlanChanges
from backend.run.folder import RunFolder
from backend.training import device, relief
from backend.training.advice import would_fit
from backend.training.failure import sentence
from backend.training.meters.progress import RunProgress
from backend.training.parallel import ranks as meeting
from backend.training.parallel.ranks import Ranks
from backend.training.quiet import libraries_to
from backend.training.report import Report, Silent
from backend.training.session import CHECKPOINTING, SAMPLING, SAVING, restored
from backend.training.train import run


def main() -> None:
    """Train as this rank; exits with 0 where that ended in a result, in a stop or in a pause.

    At once: where another rank is gone, what waits for it on a GPU would not let the interpreter come to its end.
    """
    path, rank, count, scratch, since = sys.argv[1:]
    holder.end_with(Path(scratch))
    verdict = _train(RunFolder(Path(path)), int(rank), int(count), Path(scratch), int(since))
    code = 0
    if verdict:
        verdict.write(Path(scratch), int(rank))
        code = START_AGAIN if verdict.changed else FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _train(folder: RunFolder, rank: int, count: int, scratch: Path, since: int) -> RankOutcome | None:
    with libraries_to(folder.log_file) as logger:
        log = Silent() if rank else EventLog(folder.events_file)
        try:
            job = folder.job()
            device.take(job, rank)  # first: NCCL starts CUDA, which then keeps to the GPUs that it sees
            ranks = meeting.join(rank, count, str(scratch / MEETING), job.device)
            run(folder, Inbox(folder.commands_file, since), Report(log), ranks)
            _leave(ranks)
        except relief.RanOut as out:
            logger.exception("%s ran out of memory on rank %d", folder.name, rank)
            return _leaner(folder, rank, out)
        except Exception as error:
            logger.exception("%s failed on rank %d", folder.name, rank)
            return RankOutcome(sentence(error, folder.name))
    return None


def _leave(ranks: Ranks) -> None:
    """Nobody goes while another may still want something of it."""
    ranks.wait()
    meeting.leave()


def _leaner(folder: RunFolder, rank: int, out: relief.RanOut) -> RankOutcome:
    """What all ranks start again with; or that nothing is left, and what would fit."""
    job = folder.job()
    plan = restored(job.plan, RunProgress(adjusted=folder.adjusted()))
    said = f"{out} (device {rank + 1} of {job.plan.processes})"
    found = _cheaper(plan, job, out)
    if found is None:
        text = f"memory ran out in {out.during} with the leanest settings; {would_fit(job, plan)}"
        return RankOutcome(text, said, out.during, out.step)
    changed, change = found
    return RankOutcome(change, said, out.during, out.step, changed)


def _cheaper(plan: Plan, job: Job, out: relief.RanOut) -> tuple[PlanChanges, str] | None:
    """Plan fields to change and the change in words; None where nothing is left, or would not help."""
    if out.during == SAMPLING:
        return {"micro_batch": plan.micro_batch}, "no sample answers"  # none are made of a sharded model that ran out
    if out.during == relief.LOADING:
        found = relief.leaner_weights(plan) if out.step == 0 else None
    elif out.during in (CHECKPOINTING, SAVING):
        return None
    else:
        found = relief.cheaper(plan, can_chunk=True, can_offload=job.device != "cpu")
    return found and (relief.changes(plan, found[0]), found[1])


if __name__ == "__main__":
    main()
