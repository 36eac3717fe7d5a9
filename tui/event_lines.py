"""A run's events as plain lines, for pipes, logs and terminals without a screen."""

from __future__ import annotations

import time
from collections.abc import Iterator

from backend import units
from backend.run.events import Event
from tui.plain import plain

STEP_SECONDS = 1.0
"""At most one line for steps in this time; the last one of a run is always printed."""


class EventLines:
    """Turns events into lines; steps that come faster than one a second are thinned out."""

    def __init__(self) -> None:
        self._printed = float("-inf")
        self._asked = ""
        self._trains = False

    def feed(self, event: Event) -> Iterator[str]:
        """Zero or more lines for `event`; unknown events give none."""
        make = getattr(self, f"_on_{event['event']}", None)
        if make is not None:
            stamp = time.strftime("%H:%M:%S", time.localtime(event.get("t", 0)))
            for line in make(event):
                yield f"{stamp}  {plain(line, lines=False)}"

    def _on_run_started(self, event: Event) -> Iterator[str]:
        if not event.get("total_steps"):
            return  # the first of two: nothing is loaded yet
        steps, trains = event.get("total_steps", 0), event.get("trainable_parameters", 0)
        yield (
            f"{event.get('method')} on {event.get('device')}: {event.get('train_rows', 0):,} rows, {steps:,} steps, "
            f"{units.count(trains)} trained parameters"
        )
        if event.get("step"):
            yield f"goes on after step {event['step']:,}"

    def _on_phase(self, event: Event) -> Iterator[str]:
        name = event.get("name")
        known = units.PHASES.get(str(name)) if name != "checkpoint" else None  # its own event says so
        if known and not (name == "train" and self._trains):
            yield known
        self._trains = self._trains or name == "train"

    def _on_step(self, event: Event) -> Iterator[str]:
        step, total = event.get("step", 0), event.get("total_steps", 0)
        now = float(event.get("t", 0))
        if now - self._printed < STEP_SECONDS and step != total:
            return
        self._printed = now
        loss = f"{event['loss']:.4f}" if event.get("loss") is not None else "n/a"
        eta = event.get("eta_seconds")
        yield (
            f"step {step:,}/{total:,}  loss {loss}  {units.rate(event.get('tokens_per_second') or 0)} tokens/s"
            + (f"  {units.duration(eta)} to go" if eta else "")
        )

    def _on_eval(self, event: Event) -> Iterator[str]:
        if event.get("loss") is not None:
            yield f"held-out loss {event['loss']:.4f} at step {event.get('step', 0):,}"

    def _on_sample(self, event: Event) -> Iterator[str]:
        asked = str(event.get("prompt", ""))
        if asked != self._asked:
            yield f"asked {asked:.400}"
        self._asked = asked
        yield f"it says {event.get('text', '')!s:.400}"

    def _on_checkpoint(self, event: Event) -> Iterator[str]:
        yield f"checkpoint at step {event.get('step', 0):,}"

    def _on_log(self, event: Event) -> Iterator[str]:
        level = event.get("level", "info")
        yield ("" if level == "info" else f"{level}: ") + str(event.get("text", ""))

    def _on_oom(self, event: Event) -> Iterator[str]:
        yield str(event.get("text", "out of memory"))

    def _on_replanned(self, event: Event) -> Iterator[str]:
        yield str(event.get("text", "planned anew"))

    def _on_run_finished(self, event: Event) -> Iterator[str]:
        state = event.get("state", "?")
        if state == "failed":
            yield f"failed: {event.get('error', 'see the log')}"
            return
        before, after = event.get("eval_loss_before"), event.get("eval_loss")
        losses = f", held-out loss {before:.4f} -> {after:.4f}" if before is not None and after is not None else ""
        yield f"{state} after {units.duration(event.get('seconds') or 0)}{losses}"
        if event.get("peak_bytes"):
            yield f"peak memory {units.memory(event['peak_bytes'])}"
        if event.get("result"):
            yield f"saved in {event['result']}"
