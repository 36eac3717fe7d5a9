"""What a session writes to its run folder: checkpoints and the result. All ranks call these functions together."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from backend.errors import TrainingFailed
from backend.run.events import CheckpointSaved
from backend.training import relief, rng
from backend.training.parallel import sharding
from backend.training.parallel.ranks import Ranks
from backend.training.saving import checkpoint, result
from backend.training.saving.disk import DiskFull
from backend.training.session import Session

Value = TypeVar("Value")
CHECKPOINTING, SAVING = "the checkpoint", "saving the result"
"""What memory may run out in."""


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


def save_result(session: Session) -> tuple[str, int]:
    """Save the adapter or model, and copy it where the user wants it. Returns the path and the size in bytes."""
    session.report.phase("save")
    ranks, own = session.ranks, session.folder.result
    write = partial(result.write, session.loaded, session.tokenizer, session.plan, own, ranks)
    done = relief.twice(write, session.report, session.progress.step, SAVING, ranks)
    if not done:
        raise TrainingFailed(
            f"memory ran out while the result was saved; of the checkpoints {session.last_checkpoint}: "
            "free some memory and resume the run"
        )
    return str(_copied(session) if ranks.is_first else own), done[0]


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
        evaluated = session.progress.eval_loss if session.progress.eval_step == step else None
        _together(lambda: None, ranks, folder)
        write = partial(checkpoint.write, folder, step, weights, state, evaluated, ranks.count)
        written = _together(write, ranks, folder)
        checkpoint.prune(folder, session.plan.keep_checkpoints)
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
