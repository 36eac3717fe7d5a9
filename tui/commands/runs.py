"""`fttui runs`: the runs of this box."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import msgspec
from cyclopts import Parameter

from backend import kept_names, units
from backend.run.folder import all_runs
from backend.run.json_lines import encoded
from backend.run.summary import Summary, summarise
from tui.plain import in_json, plain

HEAD = (
    *("run", "state", "steps", "held-out loss"),
    *("peak, predicted", "time, predicted", "tokens/s, predicted", "cost, predicted"),
)


def runs(*, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """List the runs of this box, newest first: state, method, loss, predicted and measured figures.

    For example:

        fttui runs
        fttui runs --json | jq '.[0].state'

    Args:
        json: Print a JSON array with every figure.
    """
    summaries = [summarise(folder) for folder in all_runs()]
    if json:
        objects = kept_names.outside([dataclasses.asdict(summary) for summary in summaries])
        print(in_json(msgspec.json.format(encoded(objects), indent=2).decode()))
    elif not summaries:
        print("no run has been made on this box yet; `fttui` or `fttui train` makes one")
    else:
        print_table([HEAD, *(_row(summary) for summary in summaries)])
    return 0


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns that are as wide as their widest cell."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(run: Summary) -> tuple[str, ...]:
    losses = [f"{x:.3f}" for x in (run.loss_before, run.loss) if x is not None]
    return (
        plain(run.name, lines=False),
        plain(run.state, lines=False),
        f"{run.step:,}/{run.total_steps:,}" if run.total_steps else "",
        " -> ".join(losses),
        _beside(run.peak_bytes, run.predicted_peak_bytes, units.memory),
        _beside(_seconds(run.hours), _seconds(run.predicted_hours), units.duration),
        _beside(run.tokens_per_second, run.predicted_tokens_per_second, units.rate),
        _beside(run.cost_usd, run.predicted_cost_usd, units.usd),
    )


def _seconds(hours: float | None) -> float | None:
    return hours * 3600 if hours is not None else None


def _beside(actual: float | None, predicted: float | None, words: units.Words) -> str:
    return ", ".join(words(value) if value is not None else "-" for value in (actual, predicted))
