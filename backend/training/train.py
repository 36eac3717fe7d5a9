"""The trainer: one run from its folder to its result. The same loop for LoRA, QLoRA and full fine-tuning.

`train` is called in a plain thread. It writes events.jsonl and obeys commands.jsonl between steps; it never prints and
knows no screen. Start reading at `run`. With several devices, each has a process that calls `run`
(backend/launch/rank.py).
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib import metadata
from logging import Logger
from pathlib import Path

from msgspec.structs import replace

from backend import kept_names
from backend.data import replay, scoring
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.finding import finding
from backend.data.general import Part, parts
from backend.data.preferences import prepare_preferences
from backend.data.prepare import Prepared, prepare
from backend.data.probes import own_probes
from backend.data.tokenizing import Tokenizing
from backend.errors import TrainingFailed, UserError
from backend.measured import records
from backend.plan import prompts
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.control import Change, Command, Inbox, PauseAt
from backend.run.event_log import EventLog
from backend.run.events import Calibrated, PredictedFigures, RunFinished, RunStarted
from backend.run.folder import RunFolder
from backend.training import counted, device, kernels, locate, relief
from backend.training.ending import Ending
from backend.training.failure import is_panic, sentence
from backend.training.forgetting import watch
from backend.training.journal import SkippedTooOften
from backend.training.meters.meters import Meters
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.quiet import libraries_to
from backend.training.report import Report
from backend.training.saving import checkpoint
from backend.training.saving.disk import DiskFull
from backend.training.session import NothingLeft, Session
from backend.training.session_files import Result, keep_best, save_checkpoint, save_result
from backend.training.setup import begin

PACKAGES = ("fttui", "torch", "transformers", "peft", "bitsandbytes")
"""Whose versions a run notes."""


class Commands:
    """What the user asks of a run: the first rank's inbox, whose commands all ranks get at the same step."""

    def __init__(self, inbox: Inbox, ranks: Ranks) -> None:
        self._inbox, self._ranks = inbox, ranks

    def poll(self) -> list[Command | Change | PauseAt]:
        """Commands since the last call, in order."""
        return self._ranks.of_first(self._inbox.poll() if self._ranks.is_first else [])

    def has_end(self) -> bool:
        """A stop or a pause waits for the next `poll`: an evaluation should break off."""
        return self._ranks.of_first(self._ranks.is_first and self._inbox.has_end())


def train(folder: RunFolder, inbox: Inbox | None = None, tell: Callable[[str], None] = lambda text: None) -> str:
    """Train `folder` from its newest good checkpoint, or from the start. Returns done, stopped, paused or failed.

    `inbox` was opened when the start was asked for; without one, commands count from now on. A failure is written to
    the run's events, its traceback to the run's log file; nothing is raised. `tell` gets its sentence too, since
    neither can be written to a full disk.
    """
    inbox = inbox or Inbox(folder.commands_file)
    state = "failed"
    try:
        with libraries_to(folder.log_file) as logger:
            try:
                with folder.hold():
                    state = _held(folder, inbox, logger, tell)
            except (UserError, OSError) as error:  # another process trains it and writes its events
                logger.exception("%s was not started", folder.name)
                tell(sentence(error, folder.name))
    except OSError as error:  # the disk may be full for the log too
        tell(sentence(error, folder.name))
    kernels.release()
    relief.give_back()
    return state


def _held(folder: RunFolder, inbox: Inbox, logger: Logger, tell: Callable[[str], None]) -> str:
    log = EventLog(folder.events_file)
    report = Report(log)
    try:
        device.take(folder.job())
        device.start(folder.job())
        return run(folder, inbox, report)
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        logger.exception("%s failed", folder.name)
        text = sentence(error, folder.name)
        tell(text)
        with suppress(OSError):  # the disk may be full for events too
            report.say(text, "error")
            wrong = True if isinstance(error, UserError) else None
            report.event(RunFinished(state="failed", error=text, wrong_input=wrong, step=_last_step(folder)))
        return "failed"
    finally:
        log.close()


def run(folder: RunFolder, inbox: Inbox, report: Report, ranks: Ranks = ALONE) -> str:
    """From the data to the result; returns the state that the run ended in. Only the first rank writes events.

    Raises what went wrong.
    """
    began = time.perf_counter()
    job, commands = folder.job(), Commands(inbox, ranks)
    started = _known_at_start(job, _last_step(folder))
    report.event(started)
    with Meters(report, job.device) as meters:
        report.phase("data")
        with ranks.first_before_others():  # the others find what it has downloaded and tokenised
            model_folder = locate.model_folder(job, folder.path, report.say)
            data, general = _mixed(job, _prepared(job, model_folder, report), _general(job, model_folder))
        report.phase("load")
        session = begin(folder, job, model_folder, data, report, began, ranks)
        report.event(_known_when_loaded(started, session))
        if other := counted.difference(session.loaded, job.predicted):
            report.warn(other)
        _watch_forgetting(session, general)
        try:
            end = _loop(session, commands)
            if end is None:
                _refuse_nothing_learned(session)
            if end and not save_checkpoint(session):
                raise TrainingFailed(f"memory ran out while the last checkpoint was written; {session.last_checkpoint}")
        except (SkippedTooOften, NothingLeft):
            _save(session)
            raise
        state = end.state if end else "done"
        result = save_result(session, measured=state == "done") if state != "paused" else None
        meters.write()
        meters.conclude(as_planned=session.plan == dataclasses.replace(job.plan, measure_kernels=False))
        if state != "paused" and ranks.is_first:
            _remember(folder, job, report)
        _finish(session, max(ranks.all_of(meters.peak_bytes)), end or Ending("done"), result)
    return state


def _prepared(job: Job, model_folder: Path, report: Report) -> Prepared:
    plan = job.plan
    how = Tokenizing(None, plan.train_on_turns, plan.special_tokens_in_data)
    read: Callable[..., Prepared] = partial(prepare, questions=plan.task_rows if plan.task else 0)
    if plan.objective != "sft":
        read = partial(prepare_preferences, plan.objective)
    data: Prepared = read(
        job.data, job.mapping, model_folder, plan.max_length, plan.eval_fraction, plan.seed, report.say, how
    )
    if (
        plan.task
        and data.questions
        and all(scoring.extracted(plan.task, x.answer or "") is None for x in data.questions)
    ):
        raise UserError(
            f"task: no held-out answer has what {plan.task!r} looks for, so that every answer would be wrong; it takes "
            "exact, number, or a regular expression that matches the right answers",
            "task",
        )
    if plan.task and not data.questions:
        report.warn("the task is not scored: no held-out row has a question that could be asked")
    return _with_own_prompts(data, plan, model_folder)


def _with_own_prompts(data: Prepared, plan: Plan, model_folder: Path) -> Prepared:
    """The data with the questions of `sample_prompts` asked first."""
    given = prompts.own(plan.sample_prompts)
    if not given:
        return data
    asked, left_out = own_probes(given, data.probes, TextTokenizer.load(model_folder), plan.max_length)
    told = [finding("warns", "sample-prompts", f"{text!r} is not asked: {_TOO_LONG}") for text in left_out]
    others = data.probes[: prompts.held_out(len(asked))]
    return dataclasses.replace(data, probes=(*asked, *others), findings=(*data.findings, *told))


_TOO_LONG = "it takes more than half of max_length, or the chat template does not take it."


def _general(job: Job, model_folder: Path) -> tuple[Part, ...]:
    """The general text that is learned or that forgetting is measured on; nothing if neither is."""
    plan = job.plan
    is_used = plan.measure_forgetting or plan.replay_fraction
    return parts(plan.general_data, model_folder, plan.max_length) if is_used else ()


def _mixed(job: Job, data: Prepared, general: tuple[Part, ...]) -> tuple[Prepared, tuple[Part, ...]]:
    """The data with general text if the plan says so, and the general text that is left to measure on."""
    if not job.plan.replay_fraction:
        return data, general
    learned, measured = replay.divided(general)
    if not measured and job.plan.measure_forgetting:
        raise UserError(
            "general_data: half of it is learned (replay_fraction) and nothing is left to measure forgetting on; give "
            "it two examples or more",
            "general_data",
        )
    return replay.mixed(data, learned, job.plan), measured


def _watch_forgetting(session: Session, general: tuple[Part, ...]) -> None:
    session.watch = watch.of(general, session.loaded, session.execution, session.report, session.progress)
    if session.watch:
        session.watch.begin(session.folder.path, session.execution)


def _refuse_nothing_learned(session: Session) -> None:
    """A run whose steps were all skipped has trained nothing. Raises TrainingFailed."""
    session.journal.flush()
    if session.progress.loss is None and session.pace.total:
        raise TrainingFailed(
            f"all {session.pace.total} steps were skipped, since no loss or gradient was finite: nothing was learned; "
            f"{session.journal.likely_cause}"
        )


def _loop(session: Session, commands: Commands) -> Ending | None:
    """Steps, evaluations and checkpoints until the last step (None), or until a command or a limit ends the run."""
    progress, pace = session.progress, session.pace
    if progress.step == 0:
        session.evaluate(commands.has_end)
        session.score(commands.has_end)
    session.report.phase("train")
    session.journal.resume_clock()
    while progress.step < pace.total:
        asked: Ending | None = None
        for command in commands.poll():
            if isinstance(command, Change):
                session.change(command.field, command.value)
                continue
            if isinstance(command, PauseAt):
                session.pause_at = command.step
                continue
            if command == "finish":
                session.finish()
            elif command == "checkpoint":
                _save(session)
            else:
                asked = asked or Ending({"stop": "stopped", "pause": "paused"}[command])
        if (end := asked or session.limit()) is not None:
            return end
        session.step()
        if pace.evaluates(progress.step):
            session.evaluate(commands.has_end)
            _keep(session)
        if pace.saves(progress.step):
            _save(session)
    return None


def _keep(session: Session) -> None:
    """Keep the weights if they are the best so far; a checkpoint that is due now has them too."""
    progress, pace = session.progress, session.pace
    if session.plan.keep == "best" and progress.best_step == progress.step and not pace.saves(progress.step):
        keep_best(session)


def _save(session: Session) -> None:
    """Write a checkpoint; if the disk is too full, warn, and train on until the next one is due."""
    try:
        save_checkpoint(session)
    except DiskFull as full:
        number = session.progress.step
        session.report.warn(f"the checkpoint of step {number} was not written: {full}; {session.last_checkpoint}")
        session.report.phase("train")
        session.journal.resume_clock()


def _remember(folder: RunFolder, job: Job, report: Report) -> None:
    """Keep what was measured for this box's next prediction; the run is not affected if that fails."""
    try:
        reason = records.remember(folder, job)
    except OSError as error:
        reason = str(error)
    report.event(Calibrated(kept=reason is None, reason=reason))
    if reason is None:
        report.say("the next prediction on this box is corrected by this run")
    else:
        report.say(f"no prediction is corrected by this run: {reason}")


def _known_at_start(job: Job, step: int) -> RunStarted:
    predicted = kept_names.outside(asdict(job.predicted)) if job.predicted else None
    return RunStarted(
        model=job.model,
        data=job.data,
        method=job.plan.method,
        device=job.device,
        device_name=job.device_name,
        epochs=job.plan.epochs,
        plan=asdict(job.plan),
        predicted=predicted and PredictedFigures(**predicted),
        versions=_versions(),
        step=step,
    )


def _versions() -> dict[str, str]:
    """Package -> version, and Python's."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _known_when_loaded(started: RunStarted, session: Session) -> RunStarted:
    return replace(
        started,
        t=0.0,
        step=session.progress.step,
        total_steps=session.pace.total,
        train_rows=len(session.data.train),
        eval_rows=len(session.data.held_out),
        dropped_rows=session.data.dropped,
        truncated_rows=session.data.truncated,
        trainable_parameters=sum(p.numel() for p in session.loaded.trainable().values()),
    )


def _finish(session: Session, peak_bytes: int, end: Ending, result: Result | None) -> None:
    progress = session.progress
    progress.seconds = time.perf_counter() - session.started
    last = progress.eval_loss if progress.eval_step > 0 else None  # the one before training is no later one
    if end.reason:
        session.report.say(end.reason)
    session.report.event(
        RunFinished(
            state=end.state,
            reason=end.reason,
            step=progress.step,
            total_steps=session.pace.total,
            loss=progress.loss,
            eval_loss_before=progress.eval_before,
            eval_loss=last if result is None or result.eval_loss is None else result.eval_loss,
            peak_bytes=peak_bytes,
            hours=progress.seconds / 3600,
            seconds=progress.seconds,
            train_seconds=progress.train_seconds,
            tokens=progress.tokens,
            tokens_per_second=progress.tokens / progress.train_seconds if progress.train_seconds else None,
            result=result and result.path,
            bytes=result and result.bytes,
            result_step=result and result.step,
            result_eval_loss=result and result.eval_loss,
        )
    )


def _last_step(folder: RunFolder) -> int:
    known = checkpoint.every(folder.checkpoints)
    return known[-1].manifest.step if known else 0
