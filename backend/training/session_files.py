"""What a session writes to its run folder: checkpoints and the result. All ranks call these functions together."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from backend.errors import TrainingFailed
from backend.run.events import CheckpointSaved
from backend.training import relief, rng
from backend.training.parallel import sharding
from backend.training.parallel.ranks import Ranks
from backend.training.saving import best, checkpoint, result
from backend.training.saving.disk import DiskFull
from backend.training.session import Session

Value = TypeVar("Value")
CHECKPOINTING, SAVING = "the checkpoint", "saving the result"
"""Activities in which memory may run out."""


class Result(NamedTuple):
    """What a run leaves."""

    path: str
    bytes: int
    step: int
    """The step whose weights it has."""
    eval_loss: float | None
    """The held-out loss at that step, if it was taken."""


def save_checkpoint(session: Session) -> bool:
    """Write a checkpoint of this step, unless it is there already; False if there was not enough memory.

    Raises DiskFull.
    """
    session.journal.flush()
    step, write = session.progress.step, partial(_write_checkpoint, session)
    done = session.saved_step == step or bool(relief.twice(write, session.report, step, CHECKPOINTING, session.ranks))
    if not done:
        session.report.warn(f"no memory was left to write the checkpoint of step {step}; {session.last_checkpoint}")
    session.report.phase("train")
    session.journal.resume_clock()
    return done


def keep_best(session: Session) -> None:
    """Keep the weights of this step, which have the lowest held-out loss so far. If that fails, the log says so."""
    session.journal.flush()
    step = session.progress.step
    try:
        done = relief.twice(partial(_write_best, session), session.report, step, CHECKPOINTING, session.ranks)
    except DiskFull as full:
        session.report.warn(f"the best weights so far, of step {step}, were not kept: {full}")
    else:
        if not done:
            session.report.warn(f"no memory was left to keep the best weights so far, of step {step}")
    session.report.phase("train")
    session.journal.resume_clock()


def _write_best(session: Session) -> None:
    session.report.phase("checkpoint")
    folder, progress, ranks = session.folder.checkpoints, session.progress, session.ranks
    weights = session.loaded.weights(ranks)
    if session.plan.method == "full":  # the result is saved in this type too
        weights = {name: x.detach().to("cpu", session.loaded.stored_dtype) for name, x in weights.items()}

    def write() -> None:
        if ranks.is_first and progress.best_loss is not None:
            best.write(folder, progress.step, weights, progress.best_loss)

    _together(write, ranks, folder)


def _use_best(session: Session) -> int:
    """Set the weights to the best ones if `keep` says so and others were worse; the step of those that are set."""
    progress, ranks = session.progress, session.ranks
    if session.plan.keep == "last" or not 0 < progress.best_step < progress.eval_step:
        return progress.step
    ranks.wait()  # the first one may have just written them
    weights = best.read(session.folder.checkpoints, progress.best_step)
    lowest = f"the held-out loss was lowest at step {progress.best_step:,}: {progress.best_loss:.4f}"
    if not all(ranks.all_of(weights is not None)):
        session.report.warn(f"{lowest}, but its weights are not there or damaged: those of the last step are saved")
        return progress.step
    for name, parameter in session.loaded.trainable().items():
        sharding.fill(parameter, (weights or {})[name])
    session.report.say(f"{lowest}; these weights are saved, not those of step {progress.step:,}")
    return progress.best_step


def save_result(session: Session, *, measured: bool = True) -> Result:
    """Save the adapter or model, and copy it where the user wants it.

    If the plan measures forgetting, that of the saved weights is too, unless `measured` is False.
    """
    session.report.phase("save")
    saved_step = _use_best(session)
    if session.watch and measured:
        session.watch.measure(session.execution, lambda: False, final=True)
    if measured:
        session.score(lambda: False)
        session.report.phase("save")
    ranks, own = session.ranks, session.folder.result
    write = partial(result.write, session.loaded, session.tokenizer, session.plan, own, ranks)
    done = relief.twice(write, session.report, session.progress.step, SAVING, ranks)
    if not done:
        raise TrainingFailed(
            f"memory ran out while the result was saved; of the checkpoints {session.last_checkpoint}: "
            "free some memory and resume the run"
        )
    path = _copied(session) if ranks.is_first else own
    return Result(str(path), done[0], saved_step, _eval_loss_at(session, saved_step))


def _eval_loss_at(session: Session, step: int) -> float | None:
    progress = session.progress
    return {progress.best_step: progress.best_loss, progress.eval_step: progress.eval_loss}.get(step)


def _write_checkpoint(session: Session) -> None:
    session.report.phase("checkpoint")
    began = time.perf_counter()
    session.progress.seconds = began - session.started
    folder, step, ranks = session.folder.checkpoints, session.progress.step, session.ranks
    weights, state = session.loaded.weights(ranks), _state(session)
    if not ranks.is_first:
        with checkpoint.own_part(folder, step, ranks.rank):
            _together(lambda: checkpoint.write_part(folder, step, ranks.rank, state), ranks, folder)
            _together(lambda: None, ranks, folder)
    else:
        evaluated, best_step = _eval_loss_at(session, step), session.progress.best_step
        _together(lambda: None, ranks, folder)
        write = partial(checkpoint.write, folder, step, weights, state, evaluated, ranks.count)
        written = _together(write, ranks, folder)
        checkpoint.prune(folder, session.plan.keep_checkpoints, best_step)
        best.prune(folder, best_step)
        session.report.event(CheckpointSaved(path=str(written.path), step=step, bytes=written.bytes))
    session.saved_step = step
    session.pace.save_seconds = time.perf_counter() - began


def _state(session: Session) -> dict[str, Any]:
    """What the next step depends on. Replicas have the same optimizer states: the first rank's are kept."""
    state = {"rng": rng.capture(), "progress": msgspec.to_builtins(session.progress)}
    if session.ranks.is_first or sharding.is_sharded(session.loaded.network):
        state["updater"] = session.updater.state_dict()
    return state


def _together(action: Callable[[], Value], ranks: Ranks, folder: Path) -> Value:
    """What `action` returns. If the disk is too full for one rank, all of them raise DiskFull."""
    needed_bytes = 0
    try:
        done = action()
    except DiskFull as full:
        needed_bytes = full.needed_bytes
    if needed_bytes := max(ranks.all_of(needed_bytes)):
        raise DiskFull(folder, needed_bytes)
    return done


def _copied(session: Session) -> Path:
    """Where the user finds the result: in the run's folder too if it can't be copied to where it was wanted."""
    output, own = session.job.output, session.folder.result
    if not output:
        return own
    try:
        return result.copy(own, output)
    except OSError as error:
        session.report.warn(f"the result could not be copied to {output} ({error}); it is in {own}")
        return own
