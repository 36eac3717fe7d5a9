"""One rank that torch elastic has started.

    python -m torch.distributed.run --standalone --nproc-per-node=2 -m backend.launch.elastic FOLDER

FOLDER is a run's, whose plan.toml says how many ranks there are. The ranks write to it what a single trainer would: why
they failed, in one sentence, once; and cheaper settings if memory ran out, for elastic's next attempt.
SIGTERM, Ctrl+C and SIGUSR1 reach all ranks: the first one stops all at the next step, with a checkpoint.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

from backend import signals
from backend.errors import UserError
from backend.launch import place as places
from backend.launch import several
from backend.launch.place import Place
from backend.launch.several import FAILED, START_AGAIN, RankOutcome
from backend.run import control
from backend.run.control import Inbox
from backend.run.folder import RunFolder
from backend.run.history import read

SINCE = "FTTUI_COMMANDS_SINCE"
"""Offset in the run's commands at which this start begins: a stop may come before the ranks are there."""
ATTEMPT = "TORCHELASTIC_RESTART_COUNT"
_TOLD = ".elastic-told"
_LOST = re.compile(r"gloo/|NCCL|TCPStore|Connection (reset|closed|refused)|Broken pipe")
"""Found in the error of a rank that has lost another. Such an error is not reported: the other rank has the cause."""
_LATER_SECONDS = 1.0
"""A rank that fails waits this long before it reports: if memory ran out on another rank, that is the cause."""


def main() -> None:
    """Train as this rank; ends without the interpreter's cleanup, which would wait for ranks that are gone."""
    folder, place = RunFolder(Path(sys.argv[1])), places.of_elastic()
    inbox = Inbox(folder.commands_file, _since())
    _take_signals(folder, place, inbox)
    code = _train(folder, place, inbox)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _since() -> int | None:
    said = os.environ.get(SINCE)
    return int(said) if said else None


def _train(folder: RunFolder, place: Place, inbox: Inbox) -> int:
    """The exit code: 0 for a result, a stop or a pause."""
    attempt = int(os.environ.get(ATTEMPT, "0"))
    state = read(folder.events_file).state
    if state == "done" or (attempt and state != "running"):  # an earlier attempt has reported how the run ended
        return FAILED if state == "failed" else 0
    try:
        with folder.hold() if place.rank == 0 else nullcontext():
            outcome = _outcome(folder, place, inbox)
    except UserError as error:
        print(f"fttui: {error}", file=sys.stderr)
        return UserError.exit_code
    if outcome is None:
        return 0
    if not _LOST.search(outcome.text):
        _tell_once(folder, outcome, attempt)
    return START_AGAIN if outcome.changed else FAILED


def _outcome(folder: RunFolder, place: Place, inbox: Inbox) -> RankOutcome | None:
    if folder.job().plan.processes != place.count:
        fix = f"start it with --nproc-per-node={folder.job().plan.processes}"
        raise UserError(f"the plan is for {folder.job().plan.processes} processes, and there are {place.count}; {fix}")
    try:
        from backend.launch import rank_training  # loads torch: here a failure can be reported
    except Exception as error:  # noqa: BLE001 - a broken library raises whatever it likes
        from backend.training.failure import not_importable

        traceback.print_exc()
        return RankOutcome(not_importable(error))
    return rank_training.train(folder, place, inbox)


def _tell_once(folder: RunFolder, outcome: RankOutcome, attempt: int) -> None:
    """Write why this attempt failed, if no other rank has."""
    if not outcome.ran_out:
        time.sleep(_LATER_SECONDS)
    try:
        names = ("TORCHELASTIC_RUN_ID", "MASTER_PORT")  # over several boxes each attempt has a port of its own
        which = "-".join(os.environ.get(name, "") for name in names)
        (folder.path / f"{_TOLD}-{which}-{attempt}").touch(exist_ok=False)
        if outcome.changed:
            several.adjust(folder, folder.job(), outcome)
        several.tell(folder, folder.job(), outcome)
    except FileExistsError:  # another rank has reported it
        pass
    except (OSError, UserError):  # the disk is full, or the folder is gone
        print(f"fttui: {outcome.text}", file=sys.stderr)


def _take_signals(folder: RunFolder, place: Place, inbox: Inbox) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        try:
            control.send(folder.commands_file, "stop")
        except OSError:  # a full disk, or a folder that is closed or gone
            inbox.put("stop")

    for number in signals.FROM_OUTSIDE:
        told = place.rank == 0 and number != signal.SIGHUP
        signal.signal(number, stop if told else signal.SIG_IGN)


if __name__ == "__main__":
    main()
