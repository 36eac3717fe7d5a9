"""The trainer as one rank of a run over several devices. Loads torch."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from backend.errors import UserError
from backend.launch.link import Link
from backend.launch.place import Place
from backend.launch.several import FAILED, LATE, RankOutcome
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.control import Inbox
from backend.run.event_log import EventLog
from backend.run.events import Logged, PlanChanges
from backend.run.folder import RunFolder
from backend.training import device, relief
from backend.training.advice import would_fit
from backend.training.failure import sentence
from backend.training.forgetting.watch import FORGETTING
from backend.training.meters.progress import RunProgress
from backend.training.parallel import ranks as meeting
from backend.training.parallel.ranks import Ranks
from backend.training.quiet import libraries_to
from backend.training.report import Report, Silent
from backend.training.session import SAMPLING, restored
from backend.training.session_files import CHECKPOINTING, SAVING
from backend.training.task import SCORING
from backend.training.train import run

LINK = "fttui-link"
"""The key under which the others find how to connect to the first rank's link."""


def train(folder: RunFolder, place: Place, inbox: Inbox) -> RankOutcome | None:
    """Train `folder` as one rank; why it failed, or None if it did not."""
    rank, link = place.rank, Link(partial(_end_since_lost, place, folder))
    with libraries_to(folder.log_file) as logger:
        log = Silent() if rank else EventLog(folder.events_file)
        try:
            job = folder.job()
            device.take(
                job, place.local_rank, place.local_count
            )  # first: NCCL starts CUDA, which fixes the visible GPUs
            device.start(job)
            _linked(link, place)
            with within(meeting.MEETING.total_seconds(), partial(os._exit, LATE)):
                ranks = meeting.join(rank, place.count, place.meeting, job.device)
            _refuse_other_folder(folder, place, ranks)
            run(folder, inbox, Report(log), ranks)
            _leave(ranks)
        except relief.RanOut as out:
            logger.exception("%s ran out of memory on rank %d", folder.name, rank)
            return _leaner(folder, rank, out)
        except Exception as error:
            logger.exception("%s failed on rank %d", folder.name, rank)
            return RankOutcome(sentence(error, folder.name), wrong_input=isinstance(error, UserError))
        finally:
            link.leave()
    return None


@contextmanager
def within(seconds: float, else_: Callable[[], object]) -> Iterator[None]:
    """Call `else_`, in a thread, if the body takes longer: on a busy box gloo has been seen to wait forever."""
    timer = threading.Timer(seconds, else_)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _linked(link: Link, place: Place) -> None:
    """End this process within seconds if another box is lost. With a single box nothing is watched."""
    if place.nodes > 1 and place.local_rank == 0:
        known = meeting.store()
        if place.rank == 0:
            known.set(LINK, link.listen())
        else:
            link.connect(os.environ["MASTER_ADDR"], known.get(LINK).decode())


def _end_since_lost(place: Place, folder: RunFolder, who: str) -> None:
    text = f"the connection to {who} is lost; the run goes on from its last checkpoint when that box is back"
    print(f"fttui: {text}", file=sys.stderr, flush=True)
    if place.rank == 0:
        with suppress(OSError):
            told = EventLog(folder.events_file)
            told.write(Logged(level="warning", text=text))
            told.close()
    os._exit(FAILED)


def _refuse_other_folder(folder: RunFolder, place: Place, ranks: Ranks) -> None:
    """Raise UserError if another box has a run folder of its own: all ranks write their checkpoint parts to one."""
    if place.nodes == 1:
        return
    mark = folder.path / ".seen-by-all"
    if ranks.is_first:
        mark.write_text(os.urandom(8).hex())
    written = ranks.of_first(mark.read_text() if ranks.is_first else "")
    seen = ranks.all_of(mark.exists() and mark.read_text() == written)
    if not all(seen):
        which = f"rank {seen.index(False)} sees another folder {folder.path} than rank 0"
        raise UserError(f"{which}; put FTTUI_HOME on storage that all boxes share")
    if ranks.is_first:
        mark.unlink(missing_ok=True)


def _leave(ranks: Ranks) -> None:
    """Disconnect when all ranks are done: an earlier end would break the others' last exchange."""
    ranks.wait()
    meeting.leave()


def _leaner(folder: RunFolder, rank: int, out: relief.RanOut) -> RankOutcome:
    """The cheaper settings that all ranks start again with; if none is left, a sentence with what would fit."""
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
    """Plan fields to change, and the change in words; None if nothing is left to change, or if it would not help."""
    if out.during == SAMPLING:
        return {"micro_batch": plan.micro_batch}, "no sample answers"  # none are made of a sharded model that ran out
    if out.during == SCORING:
        return {"task": ""}, "the task is not scored"
    if out.during == FORGETTING:
        return {"measure_forgetting": False}, "forgetting is not measured"
    if out.during == relief.LOADING:
        found = relief.leaner_weights(plan) if out.step == 0 else None
    elif out.during in (CHECKPOINTING, SAVING):
        return None
    else:
        found = relief.cheaper(plan, can_chunk=True, can_offload=job.device != "cpu")
    return found and (relief.changes(plan, found[0]), found[1])
