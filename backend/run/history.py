"""What happened in a run so far: the one thing that panels, plain lines and replays read."""

from __future__ import annotations

import math
import time
from array import array
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import msgspec

from backend import units
from backend.run.events import Event, Tail, decoded, name_of
from backend.run.printed import Printed

LOG_LINES = 2000
_MUCH_BYTES = 1 << 20
PRINTED = "printed"
"""The level of log lines that libraries printed."""


@dataclass(frozen=True)
class Evaluation:
    """Held-out loss at a step (0: before training)."""

    step: int
    loss: float


@dataclass(frozen=True)
class Sample:
    """What the model said to a prompt at a step."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class LogLine:
    """One line for the log panel; `t` is unix seconds, 0 where nobody knows."""

    t: float
    level: str
    text: str


class _Step(msgspec.Struct, gc=False):
    """What is kept of every step."""

    step: int
    loss: float | None = None
    total_steps: int | None = None


class _Memory(msgspec.Struct, gc=False):
    """What is kept of every memory reading."""

    peak_bytes: int | None = None


_STEPS = msgspec.json.Decoder(_Step)
_MEMORIES = msgspec.json.Decoder(_Memory)


class History:
    """Folds `events.jsonl` into what a screen needs. `poll` reads what is new; nothing here ever writes.

    An unknown event and an unknown field are met without harm; a missing field leaves the value as it was. Events that
    come by the hundred thousand are folded many at a time.
    """

    def __init__(self, events_file: Path, log_file: Path | None = None) -> None:
        self._tail = Tail(events_file)
        self._printed = Printed(log_file) if log_file else None
        self._looked = False
        self.started: Event = {}
        """Fields of `run_started`; empty until it came."""
        self.finished: Event = {}
        """Fields of `run_finished`; empty until it came."""
        self.phase = "waiting"
        """load, data, eval, train, sample, checkpoint, save or done, as the trainer says."""
        self.phase_since = 0.0
        """Unix seconds at which `phase` began; 0 where the trainer said nothing yet."""
        self.step = 0
        self.total_steps = 0
        self.steps: array[int] = array("q")
        """Steps that have a loss; beside `losses`."""
        self.losses: array[float] = array("d")
        self.last_step: Event = {}
        """Fields of the latest `step` event."""
        self.memory: Event = {}
        """Fields of the latest `memory` event."""
        self.gpu: Event = {}
        """Fields of the latest `gpu` event (utilisation, temperature, power), where the trainer can read them."""
        self.peak_bytes = 0
        self.measured: Event = {}
        """Fields of `measured`: what each phase took; empty until the run ends."""
        self.calibration: Event = {}
        """Fields of `calibration`: whether this run corrects the next prediction; empty until the run ends."""
        self.evaluations: list[Evaluation] = []
        self.samples: list[Sample] = []
        self.checkpoints: list[Event] = []
        self.log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.log_count = 0
        """All log lines so far, those that fell out of `log` included."""

    def poll(self, seconds: float = math.inf) -> bool:
        """Read what is new; True where anything was. After about `seconds` the rest is left to the next call."""
        changed = self._read_printed()
        end = time.monotonic() + seconds
        for lines in self._tail.batches():
            changed = True
            self._fold(lines)
            if time.monotonic() > end:
                break
        return changed

    @property
    def is_behind(self) -> bool:
        """A call of `poll` left much unread: a long run is being opened."""
        return self._tail.bytes_left() > _MUCH_BYTES

    def _read_printed(self) -> bool:
        """What libraries printed; of what was there at the first look the time is not known."""
        texts = self._printed.poll() if self._printed else []
        at = time.time() if self._looked else 0.0
        self._looked = True
        for text in texts:
            self._say({"t": at}, PRINTED, text)
        return bool(texts)

    def _fold(self, lines: list[bytes]) -> None:
        """Fold lines in their order; steps, readings and log lines that follow each other at once."""
        many: dict[bytes, list[bytes]] = {name: [] for name in _IN_BULK}
        for line in lines:
            name = name_of(line)
            if name in many:
                many[name].append(line)
            elif name is None or hasattr(self, f"_on_{name.decode('utf-8', 'replace')}"):
                self._fold_many(many)
                self._fold_one(line)
        self._fold_many(many)

    def _fold_many(self, many: dict[bytes, list[bytes]]) -> None:
        for name, lines in many.items():
            if not lines:
                continue
            try:
                _IN_BULK[name](self, lines)
            except msgspec.DecodeError:  # a damaged line, or a field of another type: one by one, without it
                for line in lines:
                    self._fold_one(line)
            lines.clear()

    def _fold_one(self, line: bytes) -> None:
        event = decoded(line)
        handler = getattr(self, f"_on_{event['event']}", None) if event else None
        if handler is not None:
            handler(event)

    def _fold_steps(self, lines: list[bytes]) -> None:
        for one in _STEPS.decode_lines(b"\n".join(lines[:-1])):
            if one.loss is not None:
                self.steps.append(one.step)
                self.losses.append(one.loss)
        self._fold_one(lines[-1])

    def _fold_memory(self, lines: list[bytes]) -> None:
        peaks = [one.peak_bytes or 0 for one in _MEMORIES.decode_lines(b"\n".join(lines[:-1]))]
        self.peak_bytes = max(self.peak_bytes, *peaks, 0)
        self._fold_one(lines[-1])

    def _fold_gpu(self, lines: list[bytes]) -> None:
        self._fold_one(lines[-1])

    def _fold_log(self, lines: list[bytes]) -> None:
        self.log_count += max(0, len(lines) - LOG_LINES)
        for line in lines[-LOG_LINES:]:
            self._fold_one(line)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds to the end as the trainer predicts them; None before the first step."""
        value = self.last_step.get("eta_seconds")
        return float(value) if isinstance(value, int | float) else None

    @property
    def state(self) -> str:
        """`running` until `run_finished` came, then its state: done, stopped, paused or failed."""
        return str(self.finished.get("state", "running")) if self.finished else "running"

    def _on_run_started(self, event: Event) -> None:
        self.started = event
        self.finished = {}
        self.total_steps = int(event.get("total_steps") or self.total_steps)
        self._forget_after(int(event.get("step") or 0))
        if isinstance(rows := event.get("train_rows"), int):
            trained = units.count(event.get("trainable_parameters") or 0)
            held_out = event.get("eval_rows") or 0
            self._say(event, "info", f"{rows:,} rows to train on, {held_out:,} held out; {trained} parameters train")

    def _forget_after(self, step: int) -> None:
        """A resumed run repeats the steps after its checkpoint: what came of them before is replaced."""
        while self.steps and self.steps[-1] > step:
            self.steps.pop()
            self.losses.pop()
        self.evaluations = [x for x in self.evaluations if x.step <= step]
        self.samples = [x for x in self.samples if x.step <= step]
        self.step = step

    def _on_phase(self, event: Event) -> None:
        self.phase = str(event.get("name", self.phase))
        self.phase_since = float(event.get("t", 0.0))

    def _on_step(self, event: Event) -> None:
        self.step = int(event.get("step", self.step))
        self.total_steps = int(event.get("total_steps", self.total_steps))
        self.last_step = event
        loss = event.get("loss")
        if isinstance(loss, int | float):
            self.steps.append(self.step)
            self.losses.append(float(loss))

    def _on_memory(self, event: Event) -> None:
        self.memory = event
        self.peak_bytes = max(self.peak_bytes, int(event.get("peak_bytes") or 0))

    def _on_measured(self, event: Event) -> None:
        self.measured = event

    def _on_calibration(self, event: Event) -> None:
        self.calibration = event

    def _on_gpu(self, event: Event) -> None:
        self.gpu = event

    def _on_eval(self, event: Event) -> None:
        if isinstance(event.get("loss"), int | float):
            self.evaluations.append(Evaluation(int(event.get("step", self.step)), float(event["loss"])))
            self._say(event, "info", f"held-out loss {event['loss']:.4f} at step {event.get('step', self.step):,}")

    def _on_sample(self, event: Event) -> None:
        step = int(event.get("step", self.step))
        self.samples.append(Sample(step, str(event.get("prompt", "")), str(event.get("text", ""))))

    def _on_checkpoint(self, event: Event) -> None:
        self.checkpoints.append(event)
        self._say(event, "info", f"checkpoint at step {event.get('step', self.step):,}")

    def _on_log(self, event: Event) -> None:
        self._say(event, str(event.get("level", "info")), str(event.get("text", "")))

    def _on_oom(self, event: Event) -> None:
        self._say(event, "warning", str(event.get("text", "out of memory")))

    def _on_replanned(self, event: Event) -> None:
        self._say(event, "warning", str(event.get("text", "re-planned")))

    def _on_run_finished(self, event: Event) -> None:
        self.finished = event
        self.phase = "done"

    def _say(self, event: Event, level: str, text: str) -> None:
        self.log.append(LogLine(float(event.get("t", 0.0)), level, text))
        self.log_count += 1


_IN_BULK = {
    b"step": History._fold_steps,
    b"memory": History._fold_memory,
    b"gpu": History._fold_gpu,
    b"log": History._fold_log,
}


def read(events_file: Path, log_file: Path | None = None) -> History:
    """The whole history of a run, once; with what libraries printed where `log_file` is given."""
    history = History(events_file, log_file)
    history.poll()
    return history
