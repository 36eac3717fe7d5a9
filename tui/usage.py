"""What is wrong with a command line: the parser's errors as one sentence that names the fix."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from backend import suggest
from backend.errors import wont_do
from backend.plan import fields
from tui.commands.app import COMMANDS


def sentence(error: CycloptsError, tokens: Sequence[str]) -> str:
    """The sentence for `error`, which parsing `tokens` raised."""
    command = " ".join(("fttui", *(error.command_chain or ())))
    if isinstance(error, UnknownCommandError):
        return _no_command(tokens[0])
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        left = error.unused_tokens[0]
        return f"{left!r} is one word too many; `{command} --help` says what it takes"
    if isinstance(error, MissingArgumentError) and error.argument:
        return _missing(error, command, tokens)
    if isinstance(error, UnknownOptionError) and "Did you mean" not in str(error):
        return f"there is no option {error.token.keyword or error.token.value}; `{command} --help` lists them"
    if isinstance(error, CoercionError) and error.token and error.target_type:
        name = (error.token.keyword or (error.argument.name if error.argument else "")).removeprefix("--")
        return str(wont_do(name, error.token.value, fields.takes(error.target_type, "")))
    return " ".join(str(error).split())


def _no_command(word: str) -> str:
    return f"there is no command {word!r}; {suggest.hint(word, COMMANDS)}"


def _missing(error: MissingArgumentError, command: str, tokens: Sequence[str]) -> str:
    assert error.argument is not None
    name = error.argument.name
    if name in tokens:
        return f"{name} needs a value after it; `{command} --help` says which"
    if error.argument.index is not None:  # a positional argument
        name = name.removeprefix("--").upper()
    return f"`{command}` needs {name}; `{command} --help` says more"
