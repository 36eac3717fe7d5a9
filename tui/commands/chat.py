"""`fttui chat`: talk with what a run trained, its adapter on and off side by side."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from backend import units
from backend.errors import UserError
from backend.export import source
from backend.run.folder import RunFolder
from tui.plain import plain

if TYPE_CHECKING:
    from backend.training.chat import Answer, Message, Talk

Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Adapter = Literal["both", "on", "off"]
SIDES = {"on": "trained", "off": "base model"}
HELP = (
    "a line is asked; /reset begins a new conversation, /adapter both|on|off chooses who answers, /quit or Ctrl+D ends"
)
_LEAST_COLUMN = 36
"""Width of a column, in characters, below which the answers are printed one after the other."""


def chat(run: str | None = None, *, adapter: Adapter = "both", tokens: Count = 256) -> int:
    """Talk with what a run trained. If it is an adapter, the base model answers beside it, without the adapter.

    If this is not a terminal, each line of the input is asked and the answers are printed as plain lines. For example:

        fttui chat
        echo "What is 12 x 7?" | fttui chat 20261124-101500-demo-lora --adapter on

    Args:
        run: The run's name or a part of it; by default the latest one with a result.
        adapter: Who answers: the trained model (on), the base model (off), or both.
        tokens: The longest answer, in tokens.
    """
    folder = RunFolder.find(run) if run is not None else source.find(None).folder
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    print(plain(f"loading {folder.name}", lines=False), file=sys.stderr)
    from backend.training.chat import Talk

    talk = Talk(folder)
    if not talk.has_adapter and adapter != "on":
        adapter = "on"
        print("full fine-tuning changed the base model itself: only what was trained answers", file=sys.stderr)
    if terminal:
        print(HELP)
    else:
        print("loaded", file=sys.stderr, flush=True)
    try:
        _converse(talk, adapter, tokens, _lines(terminal), on_terminal=terminal)
    except KeyboardInterrupt:
        print()
    return 0


def _lines(terminal: bool) -> Iterator[str]:
    """The questions, line by line."""
    while True:
        try:
            line = input("\n> " if terminal else "")
        except EOFError:
            return
        if line.strip():
            yield line.strip()


def _converse(talk: Talk, adapter: Adapter, tokens: int, lines: Iterator[str], *, on_terminal: bool) -> None:
    past: dict[str, list[Message]] = {side: [] for side in SIDES}
    show: Callable[[dict[str, Answer]], None] = _side_by_side if on_terminal else _one_by_one
    for line in lines:
        if line == "/quit":
            return
        if line == "/reset":
            past = {side: [] for side in SIDES}
            print("a new conversation", file=sys.stderr, flush=True)
            continue
        if line.startswith("/adapter"):
            adapter = _chosen(line, talk, adapter)
            continue
        if not on_terminal:
            print(plain(f"> {line}", lines=False))
        asked, answers = {"role": "user", "content": line}, {}
        try:
            for side in [side for side in SIDES if adapter in ("both", side)]:
                answers[side] = talk.answer([*past[side], asked], tokens, adapter=side == "on")
        except UserError as error:  # such as a conversation that is too long: the next question may fit
            print(plain(str(error), lines=False), flush=True)
            continue
        for side, answer in answers.items():
            past[side] += [asked, {"role": "assistant", "content": answer.text}]
        show(answers)
        if on_terminal:
            print(f"({units.memory(talk.memory_bytes())} of memory)", flush=True)
    if not on_terminal:
        print(f"memory: {units.memory(talk.memory_bytes())}")


def _chosen(line: str, talk: Talk, now: Adapter) -> Adapter:
    """Which side answers from now on."""
    word = line.removeprefix("/adapter").strip()
    for known in ("both", "on", "off"):
        if word == known and (talk.has_adapter or known == "on"):
            sides = " and ".join(SIDES[side] for side in SIDES if known in ("both", side))
            print(f"answers: {sides}", file=sys.stderr, flush=True)
            return known
    print("/adapter takes both, on or off" if talk.has_adapter else "there is no adapter: full fine-tuning has none")
    return now


def _head(side: str, answer: Answer) -> str:
    return f"{SIDES[side]}, {answer.tokens} tokens, {units.rate(answer.tokens_per_second)} tokens/s"


def _one_by_one(answers: dict[str, Answer]) -> None:
    for side, answer in answers.items():
        print(f"{_head(side, answer)}:")
        print(plain(answer.text or "(nothing)"), flush=True)


def _side_by_side(answers: dict[str, Answer]) -> None:
    """In columns if the terminal is wide enough."""
    width = shutil.get_terminal_size().columns
    column = (width - 3) // 2
    if len(answers) < 2 or column < _LEAST_COLUMN:
        _one_by_one(answers)
        return
    columns = [[_head(side, answer), *_wrapped(answer.text, column)] for side, answer in answers.items()]
    for cells in zip_longest(*columns, fillvalue=""):
        print(" │ ".join(f"{cell:{column}}" for cell in cells).rstrip())


def _wrapped(text: str, width: int) -> Iterator[str]:
    for line in plain(text or "(nothing)").split("\n"):
        yield from textwrap.wrap(line, width) or [""]
