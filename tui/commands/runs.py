"""`fttui runs`: the runs of this box."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from cyclopts import Parameter

from backend import kept_names, units
from backend.launch.queue import waiting
from backend.run.folder import all_runs
from backend.run.json_lines import encoded
from backend.run.summary import Summary, summarise
from tui import text_table
from tui.plain import in_json, plain

HEAD = ("run", "state", "steps", "held-out loss", "peak", "time", "speed", "cost")
_INDENT = "  "


def runs(*, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """List the runs of this box, newest first: state, method, loss, predicted and measured figures.

    For example:

        fttui runs
        fttui runs --json | jq '.[0].state'

    Args:
        json: Print a JSON array with every figure.
    """
    summaries = waiting.with_queued([summarise(folder) for folder in all_runs()])
    if json:
        objects = kept_names.outside([dataclasses.asdict(summary) for summary in summaries])
        print(in_json(msgspec.json.format(encoded(objects), indent=2).decode()))
    elif not summaries:
        print("no run has been made on this box yet; `fttui` or `fttui train` makes one")
    else:
        print("\n".join(_table(summaries, text_table.room())))
    return 0


def _table(runs: Sequence[Summary], width: int) -> Iterator[str]:
    """What was measured and what was predicted for each run: one line for a pipe, two for a terminal."""
    if width == text_table.UNLIMITED:
        head = (*HEAD[:4], *(f"{name}, predicted" for name in HEAD[4:]))
        rows = [head, *(_in_a_line(run) for run in runs)]
        if any(run.forgetting for run in runs):
            said = ("forgetting", *(plain(run.forgetting or "", lines=False) for run in runs))
            rows = [(*row, text) for row, text in zip(rows, said, strict=True)]
        yield from text_table.lines(rows, width)
        return
    head = ("", *HEAD[3:])
    wide = text_table.widths([head, *(row for run in runs for row in _figures(run))], width - len(_INDENT))
    yield from (f"{_INDENT}{line}" for line in text_table.folded(head, wide))
    for run in runs:
        yield from textwrap.wrap(f"{_name(run)}  {plain(run.state, lines=False)}{_steps(run)}{_note(run)}", width)
        yield from (f"{_INDENT}{line}" for row in _figures(run) for line in text_table.folded(row, wide))
        if run.forgetting:
            forgot = f"forgetting: {plain(run.forgetting, lines=False)}"
            yield from (f"{_INDENT}{line}" for line in textwrap.wrap(forgot, width - len(_INDENT)))


def _in_a_line(run: Summary) -> tuple[str, ...]:
    measured, predicted = _figures(run)
    pairs = [f"{one or '-'}, {other or '-'}" for one, other in zip(measured[2:], predicted[2:], strict=True)]
    steps = f"{run.step:,}/{run.total_steps:,}" if run.total_steps else ""
    return (_name(run), plain(run.state, lines=False), steps, measured[1], *pairs)


def _name(run: Summary) -> str:
    return plain(run.name, lines=False)


def _steps(run: Summary) -> str:
    return f", {run.step:,} of {run.total_steps:,} steps" if run.total_steps else ""


def _note(run: Summary) -> str:
    return f"  {plain(run.note, lines=False)}" if run.note else ""


def _figures(run: Summary) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Measured and predicted, each figure with its unit."""
    losses = " -> ".join(f"{x:.3f}" for x in (run.loss_before, run.loss) if x is not None)
    measured = (run.peak_bytes, _seconds(run.hours), run.tokens_per_second, run.cost_usd)
    predicted = (
        *(run.predicted_peak_bytes, _seconds(run.predicted_hours)),
        *(run.predicted_tokens_per_second, run.predicted_cost_usd),
    )
    return ("measured", losses, *_words(measured)), ("predicted", "", *_words(predicted))


def _words(values: Sequence[float | None]) -> Iterator[str]:
    shown: tuple[units.Words, ...] = (units.memory, units.duration, lambda rate: f"{units.rate(rate)} tok/s", units.usd)
    yield from ("" if value is None else words(value) for value, words in zip(values, shown, strict=True))


def _seconds(hours: float | None) -> float | None:
    return hours * 3600 if hours is not None else None
