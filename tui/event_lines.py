"""A run's events as plain lines, for pipes, logs and terminals without a screen."""

from __future__ import annotations

import time
from collections.abc import Iterator

from backend import units
from backend.run import tasks
from backend.run.events import (
    AnyEvent,
    CheckpointSaved,
    Evaluated,
    FindingReported,
    Logged,
    MemoryReading,
    OutOfMemory,
    PhaseProgress,
    PhaseStarted,
    Replanned,
    RunFinished,
    RunStarted,
    Sampled,
    StepDone,
    TaskScored,
)
from backend.run.history import evaluation
from tui.plain import plain

STEP_SECONDS = 1.0
"""Steps print at most one line in this time; a run's last step is always printed."""


PROGRESS_SECONDS = 10.0
"""A phase prints its progress at most once in this time."""


_SAID_ONCE = ("train", "save")
"""Phases that other phases interrupt (evaluations, measurements before the result is written): printed once."""


class EventLines:
    """Turns events into lines; steps that come faster than one a second are thinned out."""

    def __init__(self) -> None:
        self._printed = float("-inf")
        self._asked = ""
        self._said: set[str] = set()
        """Phases of this attempt."""
        self._peak_bytes = 0
        """The highest of all attempts."""

    def pass_over(self, event: AnyEvent) -> None:
        """Count an event of an earlier attempt towards the whole run's figures; it was printed at the time."""
        if isinstance(event, MemoryReading | RunFinished):
            self._peak_bytes = max(self._peak_bytes, event.peak_bytes or 0)

    def feed(self, event: AnyEvent) -> Iterator[str]:
        """Zero or more lines for `event`; an event that is not meant to be read gives none."""
        self.pass_over(event)
        stamp = time.strftime("%H:%M:%S", time.localtime(event.t))
        for line in self._lines(event):
            yield f"{stamp}  {plain(line, lines=False)}"

    def _lines(self, event: AnyEvent) -> Iterator[str]:
        match event:
            case RunStarted():
                yield from _started(event)
            case PhaseStarted():
                yield from self._phase(event.name)
            case PhaseProgress(total=total) if total and event.t - self._printed >= PROGRESS_SECONDS:
                self._printed = event.t
                yield f"{event.done:,} of {total:,} {event.what}"
            case StepDone():
                yield from self._step(event)
            case Evaluated(loss=float(loss)):
                yield evaluation(event, loss)
            case Sampled():
                yield from self._sample(event)
            case TaskScored():
                yield f"task {tasks.sentence(event)} at step {event.step:,}"
            case CheckpointSaved():
                yield f"checkpoint at step {event.step:,}"
            case Logged():
                yield ("" if event.level == "info" else f"{event.level}: ") + event.text
            case FindingReported():
                fix = f" -> {event.fix}" if event.fix else ""
                yield f"{event.about} {event.severity or 'notes'}: {event.text}{fix}"
            case OutOfMemory() | Replanned():
                yield event.text
            case RunFinished():
                self._said.clear()
                yield from _finished(event, self._peak_bytes)

    def _phase(self, name: str) -> Iterator[str]:
        known = units.PHASES.get(name) if name != "checkpoint" else None  # its own event says so
        if known and not (name in _SAID_ONCE and name in self._said):
            yield known
        self._said.add(name)

    def _step(self, event: StepDone) -> Iterator[str]:
        if event.t - self._printed < STEP_SECONDS and event.step != event.total_steps:
            return
        self._printed = event.t
        loss = f"{event.loss:.4f}" if event.loss is not None else "n/a"
        left = f"  {units.duration(event.eta_seconds)} to go" if event.eta_seconds else ""
        rate = units.rate(event.tokens_per_second or 0)
        yield f"step {event.step:,}/{event.total_steps:,}  loss {loss}  {rate} tokens/s{left}"

    def _sample(self, event: Sampled) -> Iterator[str]:
        if event.prompt != self._asked:
            yield f"asked {event.prompt:.400}"
        self._asked = event.prompt
        yield f"it says {event.text:.400}"


def _started(event: RunStarted) -> Iterator[str]:
    if not event.total_steps:
        return  # the first of two: nothing is loaded yet
    rows, trained = event.train_rows or 0, units.count(event.trainable_parameters or 0)
    yield (
        f"{event.method} on {event.device}: {rows:,} rows, {event.total_steps:,} steps, {trained} trained parameters"
    )
    if event.step:
        yield f"goes on after step {event.step:,}"


def _finished(event: RunFinished, peak_bytes: int) -> Iterator[str]:
    if event.state == "failed":
        yield f"failed: {event.error or 'see the log'}"
        return
    before, after = event.eval_loss_before, event.held_out_loss
    losses = f", held-out loss {before:.4f} -> {after:.4f}" if before is not None and after is not None else ""
    yield f"{event.state or '?'} after {units.duration(event.seconds or 0)}{losses}"
    if peak_bytes:
        yield f"peak memory {units.memory(peak_bytes)}"
    if event.result:
        if event.saved_earlier_step:
            yield f"the weights of step {event.result_step:,} are saved: their held-out loss is the lowest"
        yield f"saved in {event.result}"
