"""`fttui sweep`: a small grid of settings under a budget, by successive halving on the held-out loss."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from backend import units
from backend.answers import Answers
from backend.errors import STOPPED, TRAINING_FAILED
from backend.plan import fields
from backend.planner import situation
from backend.run import forgetting
from backend.run.json_lines import encoded
from backend.sweep import grid as grids
from backend.sweep import sweep as sweeps
from backend.sweep.sweep import Candidate, Sweep
from tui import starting, text_table
from tui.commands.options import Shared
from tui.plain import in_json, plain

Grid = Annotated[tuple[str, ...], Parameter(negative=())]
_FIGURES = ("steps", "held-out loss", "time", "cost", "forgetting")


def sweep(
    *,
    grid: Grid = (),
    hours: float | None = None,
    answers: Shared = Answers(),  # noqa: B008  (a frozen dataclass)
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Try every combination of some settings, under a limit of time or money; those that lose are ended early.

    All settings train a little, the better half twice as long, and so on (successive halving on the held-out loss).
    Each is a run of its own: `fttui runs` lists them, and `fttui resume` goes on with one that was ended.

    For example:

        fttui sweep --model demo --data demo --grid rank=8,32 --grid learning_rate=1e-4,2e-4,4e-4 --hours 0.2
        fttui sweep --model ./my-model --data rows.jsonl --grid method=lora,full --budget 10

    Args:
        grid: A plan field and its values, `key=value,value` (repeatable).
        hours: The most that the sweep may take; with --budget, the smaller limit counts.
        json: Print one JSON object instead of a table.
    """
    settings = grids.combinations(grids.parse(grid))
    comparison = situation.predict(answers)
    starting.refuse(comparison)
    planned = sweeps.plan(answers, comparison, settings, hours)
    for key in fields.parse_settings(answers.set).keys() & set(grids.OWN):
        _say(f"{key} is passed over: the sweep evaluates and saves each setting when its steps are compared")
    _say(
        f"{len(settings)} settings, {planned.steps:,} steps instead of {planned.whole_steps:,} without halving, about "
        f"{units.duration(planned.predicted_seconds)} of at most {units.duration(planned.seconds)}"
    )
    try:
        found = sweeps.run(planned, _say)
    except KeyboardInterrupt:
        _say("the sweep was ended; `fttui runs` lists its runs, each with a checkpoint")
        return STOPPED
    print(_json(found, planned) if json else "\n".join(_table(found, text_table.room())))
    return 0 if found[0].loss is not None and not found[0].failure else TRAINING_FAILED


def _say(text: str) -> None:
    print(plain(text, lines=False), file=sys.stderr, flush=True)


def _table(found: Sequence[Candidate], width: int) -> Iterator[str]:
    """One line per setting; two or more if the terminal is too narrow for one."""
    best = sweeps.front(found)
    rows = [_row(one) for one in found]
    marked = ["*" if one in best else " " for one in found]
    whole = [(" ", "settings", *_FIGURES, "run"), *((mark, *row) for mark, row in zip(marked, rows, strict=True))]
    if sum(text_table.widths(whole, text_table.UNLIMITED)) + text_table.GAP * (len(whole[0]) - 1) <= width:
        yield from text_table.lines(whole, width)
    else:
        wide = text_table.widths([_FIGURES, *(row[1:-1] for row in rows)], width - text_table.GAP)
        yield from (f"  {line}" for line in text_table.folded(_FIGURES, wide))
        for mark, (settings, *figures, run) in zip(marked, rows, strict=True):
            yield from textwrap.wrap(f"{mark} {run}  {settings}", width, subsequent_indent="  ", break_on_hyphens=False)
            yield from (f"  {line}" for line in text_table.folded(figures, wide))
    forgot = " with less forgetting" if any(map(_forgot, found)) else ""
    yield from ("", f"* no other setting has a lower loss in less time{forgot}")


def _row(one: Candidate) -> tuple[str, ...]:
    cells = (
        grids.words(one.settings),
        f"{one.step:,}",
        one.failure or ("-" if one.loss is None else f"{one.loss:.4f}"),
        units.duration(one.seconds),
        _usd(one) or "-",
        _forgot(one) or "-",
        one.folder.name if one.folder else "-",
    )
    return tuple(plain(cell, lines=False) for cell in cells)


def _usd(one: Candidate) -> str:
    return "" if one.cost_usd is None else units.usd(one.cost_usd)


def _forgot(one: Candidate) -> str:
    return forgetting.sentence(forgetting.latest(one.past.forgetting)) if one.past else ""


def _json(found: Sequence[Candidate], planned: Sweep) -> str:
    best = sweeps.front(found)
    settings: list[dict[str, Any]] = [
        {
            "settings": dict(one.settings),
            "run": one.folder.name if one.folder else None,
            "step": one.step,
            "loss": one.loss,
            "seconds": one.seconds,
            "cost_usd": one.cost_usd,
            "forgetting": _forgot(one) or None,
            "failure": one.failure or None,
            "on_front": one in best,
        }
        for one in found
    ]
    whole = {"settings": settings, "steps": planned.steps, "steps_without_halving": planned.whole_steps}
    return in_json(msgspec.json.format(encoded(whole), indent=2).decode())
