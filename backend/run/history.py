"""What has happened in a run so far: the only thing that panels, plain lines and replays read."""

from __future__ import annotations

import math
import time
from array import array
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from backend import units
from backend.run import tasks
from backend.run.attempts import RunClock, together
from backend.run.event_log import EventTail
from backend.run.events import (
    AnyEvent,
    Calibrated,
    CheckpointSaved,
    CpuReading,
    DevicesTimed,
    Evaluated,
    FindingReported,
    ForgettingMeasured,
    GpuReading,
    Logged,
    MemoryReading,
    OutOfMemory,
    PhaseProgress,
    PhasesMeasured,
    PhaseStarted,
    PredictedFigures,
    Replanned,
    RunFinished,
    RunStarted,
    Sampled,
    StepDone,
    TaskScored,
)
from backend.run.printed import Printed
from backend.run.series import Series

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


class LogLine(NamedTuple):
    """One line for the log panel; `t` is unix seconds, 0 if nobody knows."""

    t: float
    level: str
    text: str


class History:
    """Folds `events.jsonl` into what a screen needs. `poll` reads what is new; nothing here ever writes.

    Events that are damaged or unknown never get here; a missing field leaves the value as it was.
    """

    def __init__(self, events_file: Path, log_file: Path | None = None) -> None:
        self._tail = EventTail(events_file)
        self._printed = Printed(log_file) if log_file else None
        self._looked = False
        self.started = RunStarted()
        """The latest `run_started`; an empty one until it came."""
        self.finished: RunFinished | None = None
        """`run_finished`; None while the run goes on."""
        self.phase = "waiting"
        """load, data, eval, train, sample, checkpoint, save or done, as the trainer says."""
        self.phase_since = 0.0
        """Unix seconds at which `phase` began; 0 if the trainer said nothing yet."""
        self.part: PhaseProgress | None = None
        """How far the current phase is; None if it does not say."""
        self.step = 0
        self.total_steps = 0
        self.loss = Series()
        """Training loss of each step that has one."""
        self.learning_rate = Series()
        self.grad_norm = Series()
        self.tokens_per_second = Series()
        self.allocated_bytes = Series()
        """Memory in use: the last reading before each step."""
        self.gpu_percent = Series()
        """Utilisation of the GPU: the last reading before each step."""
        self.last_step = StepDone()
        """The latest `step`; an empty one before the first."""
        self.memory = MemoryReading()
        """The latest `memory`; an empty one before the first."""
        self.gpu = GpuReading()
        """The latest `gpu`; an empty one if there is none."""
        self.cpu = CpuReading()
        """The latest `cpu`; an empty one if there is none."""
        self.busy_seconds: list[float] = []
        """Mean seconds that each of several devices computes in a step; empty for one, and for a sharded model."""
        self.peak_bytes = 0
        """The highest use in all attempts."""
        self.measured = PhasesMeasured()
        """What each phase took, over all attempts of the run; empty until the first one ends."""
        self.calibration: Calibrated | None = None
        """Whether this run corrects the next prediction; None until the run ends."""
        self.evaluations: list[Evaluation] = []
        self.forgetting: list[ForgettingMeasured] = []
        """What was measured of forgetting, by step and part."""
        self.is_advised = False
        """Whether the adviser has warned about the run since its last evaluation; the log has the warning."""
        self.tasks: list[TaskScored] = []
        """Scores of the task, before training and after it."""
        self.samples: list[Sample] = []
        self.checkpoints: list[CheckpointSaved] = []
        self.last_event_at = 0.0
        """Unix seconds of the latest event; 0 before the first."""
        self._clock = RunClock()
        self.log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.log_count = 0
        """All log lines so far, those that fell out of `log` included."""

    def poll(self, seconds: float = math.inf) -> bool:
        """Read what is new; True if anything was. After about `seconds` the rest is left to the next call."""
        changed = self._read_printed()
        end = time.monotonic() + seconds
        for events in self._tail.batches():
            changed = True
            self._fold(events)
            if time.monotonic() > end:
                break
        return changed

    @property
    def steps(self) -> array[int]:
        """Steps that have a loss; `losses` has the loss of each."""
        return self.loss.steps

    @property
    def losses(self) -> array[float]:
        """The losses of `steps`."""
        return self.loss.values

    @property
    def is_behind(self) -> bool:
        """Whether `poll` left much unread, as when a long run is opened."""
        return self._tail.bytes_left() > _MUCH_BYTES

    @property
    def predicted(self) -> PredictedFigures:
        """What was predicted before the start; empty if nothing was."""
        return self.started.predicted or PredictedFigures()

    @property
    def eta_seconds(self) -> float | None:
        """Seconds to the end as the trainer predicts them; None before the first step."""
        return self.last_step.eta_seconds

    @property
    def spent_usd(self) -> float | None:
        """USD spent so far; None if there is no price."""
        return self.last_step.spent_usd

    @property
    def result_step(self) -> int | None:
        """The step whose weights were saved; None until the run has left a result."""
        return self.finished.result_step if self.finished else None

    @property
    def result_loss(self) -> float | None:
        """Held-out loss of what was saved; of the last evaluation after training began if nothing is yet."""
        if self.finished and self.finished.result_eval_loss is not None:
            return self.finished.result_eval_loss
        return self.evaluations[-1].loss if len(self.evaluations) > 1 else None

    @property
    def state(self) -> str:
        """`running` until `run_finished` came, then its state: done, stopped, paused or failed."""
        return (self.finished and self.finished.state) or "running"

    @property
    def devices(self) -> int:
        """Devices that train together, each of which costs the price; a CPU is one, however many processes share it."""
        if self.started.device == "cpu":
            return 1
        count = self.started.plan.get("processes")
        return count if isinstance(count, int) and count > 0 else 1

    def cost_so_far(self, now: float) -> float | None:
        """USD until `now`, at the price that the plan was made with; None if it had none."""
        price = self.predicted.price_usd_per_hour
        return None if price is None else self.seconds_so_far(now) / 3600 * price * self.devices

    def seconds_so_far(self, now: float) -> float:
        """Seconds that the run took until `now`, in all its attempts; what it took once it has ended."""
        return self._clock.seconds(now, self.finished)

    def _read_printed(self) -> bool:
        """Read what libraries printed; the time of what was there at the first reading is not known."""
        texts = self._printed.poll() if self._printed else []
        at = time.time() if self._looked else 0.0
        self._looked = True
        for text in texts:
            self._log(at, PRINTED, text)
        return bool(texts)

    def _fold(self, events: list[AnyEvent]) -> None:
        """Apply events in order, with a separate loop for kinds that occur by the hundred thousand."""
        for event in events:
            match event:
                case MemoryReading():
                    self.memory = event
                    self.peak_bytes = max(self.peak_bytes, event.peak_bytes)
                    self.allocated_bytes.add(self.step, event.allocated_bytes)
                case GpuReading():
                    self.gpu = event
                    self.gpu_percent.add(self.step, event.utilisation_percent)
                case StepDone():
                    self._on_step(event)
                case Logged():
                    self._log(event.t, event.level, event.text)
                case _:
                    self._fold_rare(event)
            self.last_event_at = event.t or self.last_event_at

    def _fold_rare(self, event: AnyEvent) -> None:
        match event:
            case RunStarted():
                self._on_run_started(event)
            case PhaseStarted():
                self.phase = event.name or self.phase
                self.phase_since = event.t
                self.part = None
            case PhaseProgress():
                self.part = event
            case CpuReading():
                self.cpu = event
            case DevicesTimed():
                self.busy_seconds = event.busy_seconds
            case Evaluated(step=step, loss=float(loss)):
                self.evaluations.append(Evaluation(step, loss))
                self.is_advised = False
                self._log(event.t, "info", evaluation(event, loss))
            case ForgettingMeasured():
                self.forgetting.append(event)
            case TaskScored():
                self.tasks.append(event)
                self._log(event.t, "info", f"task {tasks.sentence(event)}")
            case Sampled():
                self.samples.append(Sample(event.step, event.prompt, event.text))
            case CheckpointSaved():
                self.checkpoints.append(event)
                self._log(event.t, "info", f"checkpoint at step {event.step:,}")
            case FindingReported():
                self.is_advised |= event.about == "run" and event.severity != "notes"
                fix = f" -> {event.fix}" if event.fix else ""
                self._log(
                    event.t, "info" if event.severity == "notes" else "warning", f"{event.about}: {event.text}{fix}"
                )
            case OutOfMemory() | Replanned():
                self._log(event.t, "warning", event.text)
            case PhasesMeasured():
                self.measured = together(self.measured, event)
            case Calibrated():
                self.calibration = event
            case RunFinished():
                self.peak_bytes = max(self.peak_bytes, event.peak_bytes or 0)
                self.finished = msgspec.structs.replace(event, peak_bytes=self.peak_bytes or event.peak_bytes)
                self.phase = "done"

    def _on_step(self, event: StepDone) -> None:
        self.step = event.step or self.step
        self.total_steps = event.total_steps or self.total_steps
        self.last_step = event
        self.loss.add(self.step, event.loss)
        self.learning_rate.add(self.step, event.learning_rate)
        self.grad_norm.add(self.step, event.grad_norm)
        self.tokens_per_second.add(self.step, event.tokens_per_second)

    def _on_run_started(self, event: RunStarted) -> None:
        self._clock.started(event, self.seconds_so_far(self.last_event_at))
        self.started = event
        self.finished = None
        self.is_advised = False
        self.total_steps = event.total_steps or self.total_steps
        self._forget_after(event.step)
        if event.train_rows is not None:
            trained = units.count(event.trainable_parameters or 0)
            rows = f"{event.train_rows:,} rows to train on, {event.eval_rows or 0:,} held out"
            self._log(event.t, "info", f"{rows}; {trained} parameters train")

    def _forget_after(self, step: int) -> None:
        """A resumed run repeats the steps after its checkpoint: they replace what was there before."""
        for series in (self.loss, self.learning_rate, self.grad_norm, self.tokens_per_second):
            series.forget_after(step)
        self.allocated_bytes.forget_after(step)
        self.gpu_percent.forget_after(step)
        if step == 0:  # without a checkpoint everything is repeated, including what precedes the first step
            self.evaluations, self.samples, self.forgetting, self.tasks = [], [], [], []
        self.evaluations = [x for x in self.evaluations if x.step <= step]
        self.tasks = [x for x in self.tasks if x.step <= step]
        self.forgetting = [x for x in self.forgetting if x.step <= step]
        self.samples = [x for x in self.samples if x.step <= step]
        self.step = step

    def _log(self, t: float, level: str, text: str) -> None:
        self.log.append(LogLine(t, level, text))
        self.log_count += 1


def evaluation(event: Evaluated, loss: float) -> str:
    """`held-out loss 0.4312 at step 40`; for preference training also how many preferences the model has right.

    Before the first step the model is the reference that it is compared with, and has none right or wrong.
    """
    right = event.reward_accuracy if event.step else None
    of_them = "" if right is None else f", {100 * right:.0f} % of the preferences right"
    return f"held-out loss {loss:.4f} at step {event.step:,}{of_them}"


def read(events_file: Path, log_file: Path | None = None) -> History:
    """The whole history of a run, once; with what libraries printed if `log_file` is given."""
    history = History(events_file, log_file)
    history.poll()
    return history
