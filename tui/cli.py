"""The `fttui` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from pathlib import Path

from backend.errors import STOPPED, TRAINING_FAILED, TrainingFailed, UserError
from tui import streams

_OWN_FAULT = 1


def main() -> None:
    """Run the command and exit with its code: 0, 2 wrong input, 3 does not fit, 4 training failed, 130 stopped."""
    streams.settle()
    try:
        code = run(sys.argv[1:])
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence, and the traceback where it can be found
        code = _refuse(_of_our_own(error), _OWN_FAULT)
    sys.exit(code)


def run(tokens: Sequence[str]) -> int:
    """Run the command and return its exit code; an error that the user can fix is one sentence on stderr."""
    try:
        code = _command(tokens) if tokens else _wizard()
        streams.flush()
        return code
    except UserError as error:
        return _refuse(str(error), error.exit_code)
    except TrainingFailed as error:
        return _refuse(str(error), error.exit_code)
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise  # Rich, which prints the help, turns a broken pipe into a SystemExit
        streams.drop_what_is_stuck()  # the reader of a pipe has left (`fttui runs | head`)
        return 0
    except OSError as error:
        return _refuse(*_of_the_system(error))
    except MemoryError:
        return _refuse("there is not enough memory, or `ulimit -v` allows too little of it; end other programs", 2)
    except KeyboardInterrupt:
        return _refuse("interrupted", STOPPED)


def _wizard() -> int:
    """The wizard, without importing what only the commands need."""
    from tui.process import run_wizard

    return run_wizard()


def _command(tokens: Sequence[str]) -> int:
    from cyclopts import CycloptsError

    from tui.commands.app import app_for

    app = app_for(tokens[0])
    if {"--help", "-h"} & set(tokens):
        from tui.commands.help_text import HelpText

        streams.leave_room_for_help()
        app.help_formatter = HelpText()
    try:
        return int(app(tokens, exit_on_error=False, print_error=False, result_action="return_value") or 0)
    except CycloptsError as error:
        from tui import usage

        return _refuse(usage.sentence(error, tokens), 2)


def _of_the_system(error: OSError) -> tuple[str, int]:
    """A sentence on a file or folder that the system refuses, and the exit code."""
    why = (error.strerror or str(error)).lower()
    what = str(error.filename) if error.filename else "standard output or a file"
    streams.drop_what_is_stuck()
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full ({what}); free some space, or set FTTUI_HOME to a folder on another disk", (
            TRAINING_FAILED
        )
    if _current_folder_is_gone():
        return "the current folder is gone; change to one that exists", 2
    return f"{what} can't be used: {why}; check its path and its permissions", 2


def _of_our_own(error: Exception) -> str:
    """A sentence on an error that is a bug of fttui; its traceback is kept in a file."""
    import traceback

    from backend import paths

    log = paths.home() / "fttui.log"
    try:
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        traceback.print_exception(error)
        return f"a fault of fttui itself ({type(error).__name__}), please report it"
    return f"a fault of fttui itself ({type(error).__name__}: {error}), please report it; its traceback is in {log}"


def _current_folder_is_gone() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def _refuse(sentence: str, code: int) -> int:
    from tui.plain import plain

    try:
        print(f"fttui: {plain(sentence, lines=False)}", file=sys.stderr)
    except OSError:  # closed or full: the exit code says the rest
        streams.drop_what_is_stuck()
    return code
