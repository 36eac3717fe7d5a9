"""The trainer: one run from its folder to its result. The same loop for LoRA, QLoRA and full fine-tuning.

`train` is called in a plain thread. It writes events.jsonl and obeys commands.jsonl between steps; it never prints and
knows no screen. Read from the top: `run` is the story. Over several devices each has a process that calls it
(backend/training/rank.py).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict
from logging import Logger
from pathlib import Path

from backend import kept_names
from backend.data.prepare import Prepared, prepare
from backend.errors import TrainingFailed, UserError
from backend.measured import records
from backend.plan.job import Job
from backend.run.control import Inbox
from backend.run.events import EventLog
from backend.run.folder import RunFolder
from backend.training import device, locate
from backend.training.commands import Commands
from backend.training.failure import sentence
from backend.training.give_back import give_back
from backend.training.journal import SkippedTooOften
from backend.training.meters.meters import Meters
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.quiet import libraries_to
from backend.training.report import Report
from backend.training.saving import checkpoint
from backend.training.saving.disk import DiskFull
from backend.training.saving.session_files import save_checkpoint, save_result
from backend.training.session import NothingLeft, Session
from backend.training.setup import begin
from backend.training.versions import versions


def train(folder: RunFolder, inbox: Inbox | None = None) -> str:
    """Train `folder` from its newest good checkpoint, or from the start: done, stopped, paused or failed.

    `inbox` was opened when the start was asked for; without one, commands count from here on. Every failure is told in
    the run's events and its traceback is in the run's log file; nothing is raised.
    """
    inbox = inbox or Inbox(folder.commands_file)
    state = "failed"
    with suppress(OSError), libraries_to(folder.log_file) as logger:  # a full disk takes no log either
        try:
            with folder.hold():
                state = _held(folder, inbox, logger)
        except (UserError, OSError):  # another process trains it: its events are not ours to write
            logger.exception("%s was not started", folder.name)
    give_back()
    return state


def _held(folder: RunFolder, inbox: Inbox, logger: Logger) -> str:
    log = EventLog(folder.events_file)
    report = Report(log)
    try:
        device.take(folder.job())
        return run(folder, inbox, report)
    except Exception as error:
        logger.exception("%s failed", folder.name)
        text = sentence(error, folder.name)
        with suppress(OSError):  # a full disk takes no event either
            report.say(text, "error")
            report.event("run_finished", state="failed", error=text, step=_last_step(folder))
        return "failed"
    finally:
        log.close()


def run(folder: RunFolder, inbox: Inbox, report: Report, ranks: Ranks = ALONE) -> str:
    """From the data to the result; the state that it ended in. Every rank does the same; the first one tells.

    Raises what went wrong.
    """
    began = time.perf_counter()
    job, commands = folder.job(), Commands(inbox, ranks)
    report.event("run_started", **_known_at_start(job), step=_last_step(folder))
    with Meters(report, job.device) as meters:
        report.phase("data")
        with ranks.first_before_others():  # they find downloaded and tokenised what it has fetched and made
            model_folder = locate.model_folder(job, folder.path, report.say)
            data = _prepared(job, model_folder, report)
        report.phase("load")
        session = begin(folder, job, model_folder, data, report, began, ranks)
        report.event("run_started", **_known_at_start(job), **_known_when_loaded(session))
        try:
            command = _loop(session, commands)
            if command and not save_checkpoint(session):
                raise TrainingFailed(f"memory ran out while the last checkpoint was written; {session.last_checkpoint}")
        except (SkippedTooOften, NothingLeft):
            _save(session)
            raise
        result = save_result(session) if command != "pause" else None
        state = {"stop": "stopped", "pause": "paused", None: "done"}[command]
        meters.write()
        meters.conclude(as_planned=session.plan == job.plan)
        if state != "paused" and ranks.is_first:
            _remember(folder, job, report)
        _finish(session, max(ranks.all_of(meters.peak_bytes)), state, result)
    return state


def _prepared(job: Job, model_folder: Path, report: Report) -> Prepared:
    plan = job.plan
    return prepare(job.data, job.mapping, model_folder, plan.max_length, plan.eval_fraction, plan.seed, report.say)


def _loop(session: Session, commands: Commands) -> str | None:
    """Steps, evaluations and checkpoints, to the end (None) or to the command that ends it early."""
    progress, pace = session.progress, session.pace
    if progress.step == 0:
        session.evaluate(commands.has_end)
    session.report.phase("train")
    session.journal.resume_clock()
    while progress.step < pace.total:
        for command in commands.poll():
            if command != "checkpoint":
                return command
            _save(session)
        session.step()
        if pace.evaluates(progress.step):
            session.evaluate(commands.has_end)
        if pace.saves(progress.step):
            _save(session)
    return None


def _save(session: Session) -> None:
    """Write a checkpoint; where that can't be, it is said, and training goes on until the next one is due."""
    try:
        save_checkpoint(session)
    except DiskFull as full:
        number = session.progress.step
        session.report.warn(f"the checkpoint of step {number} was not written: {full}; {session.last_checkpoint}")
        session.report.phase("train")
        session.journal.resume_clock()


def _remember(folder: RunFolder, job: Job, report: Report) -> None:
    """Keep what was measured for this box's next prediction; a run is no worse for it where that can't be."""
    try:
        reason = records.remember(folder, job)
    except OSError as error:
        reason = str(error)
    report.event("calibration", kept=reason is None, reason=reason)
    if reason is None:
        report.say("the next prediction on this box is corrected by this run")
    else:
        report.say(f"no prediction is corrected by this run: {reason}")


def _known_at_start(job: Job) -> dict[str, object]:
    return {
        "model": job.model,
        "data": job.data,
        "method": job.plan.method,
        "device": job.device,
        "device_name": job.device_name,
        "epochs": job.plan.epochs,
        "plan": asdict(job.plan),
        "foreseen": kept_names.outside(asdict(job.predicted)) if job.predicted else None,
        "versions": versions(),
    }


def _known_when_loaded(session: Session) -> dict[str, object]:
    return {
        "step": session.progress.step,
        "total_steps": session.pace.total,
        "train_rows": len(session.data.train),
        "eval_rows": len(session.data.held_out),
        "dropped_rows": session.data.dropped,
        "truncated_rows": session.data.truncated,
        "trainable_parameters": sum(p.numel() for p in session.loaded.trainable().values()),
    }


def _finish(session: Session, peak_bytes: int, state: str, result: tuple[str, int] | None) -> None:
    progress = session.progress
    progress.seconds = time.perf_counter() - session.started
    if 0 < progress.best_step < progress.eval_step:
        session.report.say(
            f"the held-out loss was lowest at step {progress.best_step}: {progress.best_loss:.3f}; "
            "its checkpoint is kept where one was written"
        )
    path, size = result or (None, None)
    session.report.event(
        "run_finished",
        state=state,
        step=progress.step,
        total_steps=session.pace.total,
        loss=progress.loss,
        eval_loss_before=progress.eval_before,
        eval_loss=progress.eval_loss,
        peak_bytes=peak_bytes,
        hours=progress.seconds / 3600,
        seconds=progress.seconds,
        train_seconds=progress.train_seconds,
        tokens=progress.tokens,
        tokens_per_second=progress.tokens / progress.train_seconds if progress.train_seconds else None,
        result=path,
        bytes=size,
    )


def _last_step(folder: RunFolder) -> int:
    known = checkpoint.every(folder.checkpoints)
    return known[-1].manifest.step if known else 0
