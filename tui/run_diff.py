"""How runs differ: inputs, settings and results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from backend import units
from backend.errors import UserError
from backend.plan import fields
from backend.plan.job import Job
from backend.run.events import RunFinished
from backend.run.folder import RunFolder
from backend.run.history import History
from tui.plain import plain

Difference = tuple[str, tuple[str, ...]]
"""What differs, and its value in each run."""
_INPUTS = ("model", "data", "device_name", "preset")


def differences(folders: Sequence[RunFolder], histories: Sequence[History]) -> list[Difference]:
    """Name and values of everything that is not the same in all runs: first results, then inputs and settings."""
    found = [_all(folder, past) for folder, past in zip(folders, histories, strict=True)]
    names = dict.fromkeys(name for one in found for name in one)
    rows = ((name, tuple(one.get(name, "-") for one in found)) for name in names)
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _all(folder: RunFolder, past: History) -> dict[str, str]:
    try:
        job = folder.job()
    except UserError:
        return dict(_results(past))
    return {**dict(_results(past)), **dict(_inputs(job))}


def _results(past: History) -> Iterator[tuple[str, str]]:
    if past.evaluations:
        yield "held-out loss", f"{past.evaluations[-1].loss if past.result_loss is None else past.result_loss:.4f}"
    if past.peak_bytes:
        yield "peak", units.memory(past.peak_bytes)
    finished = past.finished or RunFinished()
    if finished.seconds is not None:
        yield "time", units.duration(finished.seconds)
    if rate := finished.tokens_per_second:  # the mean of the run, as a single step's rate says little
        yield "tokens/s", units.rate(rate)
    yield "steps", f"{past.step:,} of {past.total_steps:,}"


def _inputs(job: Job) -> Iterator[tuple[str, str]]:
    for name in _INPUTS:
        yield name.removesuffix("_name"), plain(getattr(job, name) or "-", lines=False)
    for name, value in asdict(job.plan).items():
        yield name, plain(fields.text(value), lines=False)
