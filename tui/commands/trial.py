"""`fttui plan --trial`: a few real steps of each method that fits, measured, next to the prediction."""

from __future__ import annotations

import os
import select
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence

from backend import units
from backend.answers import METHODS, Method
from backend.errors import STOPPED, TRAINING_FAILED
from backend.planner import fit
from backend.planner.estimates import Comparison, MethodEstimate
from backend.planner.rules import title
from backend.trial import trial
from backend.trial.found import TrialResult
from backend.trial.plan import Trial
from tui import trying
from tui.plain import plain

LABEL, COLUMN, WIDTH = 14, 19, 72
_ABOUT_EQUAL = 1.25
"""Training times that differ by less than this factor are about the same."""


def command(comparison: Comparison, wanted: Method | None, *, as_json: bool) -> int:
    """Run the trials and print them; returns 0, 4 if no method made a step, or 130 if Ctrl+C ended them.

    `wanted` is the method that the user set; None for all that fit.
    """
    from tui.commands import plan_json

    trials = trying.trials(comparison, wanted)
    try:
        found = measured(comparison, trials)
    except KeyboardInterrupt:
        sys.stderr.write("fttui: the trial was ended and what it wrote was deleted\n")
        return STOPPED
    text = plan_json.encode(comparison, tried=found) if as_json else table(comparison, trials, found)
    sys.stdout.write(text + "\n")
    return 0 if any(seen.steps for seen in found.values()) else TRAINING_FAILED


def measured(comparison: Comparison, trials: Sequence[Trial]) -> dict[Method, TrialResult]:
    """Run them, with a line of progress on stderr. Raises UserError, and BrokenPipeError if nobody reads that."""
    line = _Line()
    sys.stderr.write(f"{trying.about(trials)}\n")
    try:
        return trial.run(comparison, trials, line.show)
    finally:
        line.clear()


class _Line:
    """Progress on stderr: one line that changes on a terminal, a line a step elsewhere."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._shown = ""

    def show(self, now: trial.TrialProgress) -> None:
        """Show it if it has changed. Raises BrokenPipeError if the reader of stderr has left."""
        if _reader_left():
            raise BrokenPipeError
        text = words(now)
        if self._on_terminal:
            text += f", {units.duration(now.seconds)}"
        if text != self._shown:
            self._write(text)
            self._shown = text

    def clear(self) -> None:
        """Clear the line."""
        if self._on_terminal and self._shown:
            self._write("")
            sys.stderr.write("\r")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r{text:<{max(len(text), len(self._shown))}}" if self._on_terminal else text + "\n")
        sys.stderr.flush()


def words(now: trial.TrialProgress) -> str:
    """`LoRA: step 3 of 20`."""
    step = f"step {now.step} of {now.steps}"
    doing = step if now.phase in ("train", "done") else units.PHASES.get(now.phase, step)
    return f"{title(now.method)}: {doing}"


def _reader_left() -> bool:
    """Whether standard error is a pipe whose other end is closed: whoever asked for this trial is gone."""
    poll = select.poll()
    poll.register(2, 0)
    return any(state & select.POLLERR for _, state in poll.poll(0)) if not os.isatty(2) else False


def table(comparison: Comparison, trials: Sequence[Trial], found: Mapping[Method, TrialResult]) -> str:
    """A column for each method that was tried, at most 72 wide; below it, what the figures mean, in sentences."""
    columns = [
        *_columns([found[one.method] for one in trials], [title(one.method) for one in trials]),
        *_quality([found[one.method] for one in trials], [comparison.methods[one.method] for one in trials]),
    ]
    sentences = [*_ends(comparison, found), *_equal(trials, found), *_meaning(trials), *_calibration(found)]
    return "\n".join([*columns, "", *(line for text in sentences for line in textwrap.wrap(plain(text), WIDTH))])


def _columns(seen: list[TrialResult], names: list[str]) -> Iterator[str]:
    yield _row("trial", names)
    yield _row("steps", [_steps(x) for x in seen])
    if any(x.equal_seconds for x in seen):
        took = [x.train_seconds for x in seen]
        yield _row("  trained for", ["-" if seconds is None else units.duration(seconds) for seconds in took])
    for label, name, shown in _ROWS:
        pairs = [(getattr(x.measured, name), getattr(x.predicted, name)) for x in seen]
        if any(figure is not None for pair in pairs for figure in pair):
            for text, figures in zip((label, "  predicted"), zip(*pairs, strict=True), strict=True):
                yield _row(text, ["-" if figure is None else shown(figure) for figure in figures])
    yield _row("held-out loss", [_losses(x) for x in seen])


def _quality(seen: Sequence[TrialResult], said: Sequence[MethodEstimate]) -> Iterator[str]:
    """What is expected of each method, and what these few steps have shown of it."""
    yield _row("quality", [x.quality_ceiling for x in said])
    if any(x.task_short for x in seen):
        yield _row("  task now", [x.task_short or "-" for x in seen])
    yield _row("forgetting", [x.forgetting_risk for x in said])
    if any(x.forgetting_short for x in seen):
        yield _row("  measured", [x.forgetting_short or "-" for x in seen])


def _steps(seen: TrialResult) -> str:
    if seen.failure and seen.steps < seen.planned_steps:
        return f"{seen.steps} of {seen.planned_steps}"
    return f"{seen.steps} in {units.duration(seen.seconds)}"


def _losses(seen: TrialResult) -> str:
    before, after = (f"{x:.3f}" if x is not None else "-" for x in (seen.loss_before, seen.loss_after))
    return f"{before} -> {after}"


def _step(seconds: float) -> str:
    if seconds < 0.1:
        return f"{1000 * seconds:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else units.duration(seconds)


_ROWS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("tokens/s", "tokens_per_second", lambda rate: f"{rate:,.0f}"),
    ("a step", "step_seconds", _step),
    ("peak memory", "peak_bytes", units.memory),
    ("whole run", "hours", lambda hours: units.duration(hours * 3600)),
    ("  cost", "cost_usd", units.usd),
)


def _ends(comparison: Comparison, found: Mapping[Method, TrialResult]) -> Iterator[str]:
    """What did not go as planned, in a sentence per method."""
    for method, seen in found.items():
        if seen.failure:
            yield f"{title(method)}: {seen.failure.rstrip('.')}."
        if seen.changed:
            yield f"{title(method)} ran out of memory and continued with less: {seen.changed}."
        if seen.forgetting:
            yield f"{title(method)}, forgetting of general text: {seen.forgetting}."
        if seen.task:
            yield f"{title(method)}, task {seen.task}."
    for method in METHODS:
        if method not in found and comparison.methods[method].fit == "no":
            need, room = comparison.methods[method].memory.peak_bytes, fit.available(comparison.device)
            yield f"{title(method)} was not tried: it needs {units.memory(need)} of {units.memory(room)}."


def _equal(trials: Sequence[Trial], found: Mapping[Method, TrialResult]) -> Iterator[str]:
    """Whether the methods trained for the same time; nothing if they were not meant to."""
    took = [seen.train_seconds for seen in found.values() if seen.equal_seconds and seen.train_seconds]
    if len(took) < 2 or all(one.steps >= one.whole_steps for one in trials):
        return
    if max(took) <= _ABOUT_EQUAL * min(took):
        yield "All methods trained for about the same time: losses, forgetting and scores are compared at equal cost."
    else:
        yield "The methods did not train for the same time, so that losses, forgetting and scores can't be compared."


def _meaning(trials: Sequence[Trial]) -> Iterator[str]:
    """What the figures mean for the whole run."""
    if all(one.steps >= one.whole_steps for one in trials):
        yield "The run is so short that these were all of its steps."
        return
    yield (
        "The time of the whole run is that of its steps, evaluations and checkpoints, as the trial measured them. So "
        "few steps show that a method runs and what it needs, not which method learns best."
    )
    yield _rate(trials)


def _rate(trials: Sequence[Trial]) -> str:
    """How the learning rate of the trials compares with that of the whole run."""
    shares = [one.steps / one.warmup_steps for one in trials if one.warmup_steps > one.steps]
    if shares:
        return f"The warm-up is longer than the trial: the learning rate reached {min(shares):.0%} of its peak."
    least, most = (f(one.warmup_steps for one in trials) for f in (min, max))
    steps = f"{least}" if least == most else f"{least} to {most}"
    return f"The learning rate is that of the whole run during its warm-up ({steps} steps), then stays at its peak."


def _calibration(found: Mapping[Method, TrialResult]) -> Iterator[str]:
    kept = [title(method) for method, seen in found.items() if not seen.not_kept]
    if kept:
        yield f"The next comparison on this box is corrected by what {trying.listed(kept)} needed."
    refused: dict[str, list[str]] = {}
    for method, seen in found.items():
        if seen.not_kept and not seen.failure:
            refused.setdefault(seen.not_kept, []).append(title(method))
    for reason, names in refused.items():
        yield f"No prediction is corrected by {trying.listed(names)}: {reason}."


def _row(label: str, cells: list[str]) -> str:
    return f"{label:{LABEL}}" + "".join(f"{cell:{COLUMN}}" for cell in cells).rstrip()
