"""A plausible run as real events: written with the real log, seeded, at fixed times."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from backend.plan.job import Job, Prediction
from backend.plan.plan import Plan
from backend.run.event_log import EventLog
from backend.run.events import (
    Calibrated,
    CheckpointSaved,
    Evaluated,
    Event,
    GpuReading,
    Logged,
    MemoryReading,
    PhasePeak,
    PhasesMeasured,
    PhaseStarted,
    PredictedFigures,
    RunFinished,
    RunStarted,
    Sampled,
    StepDone,
)
from backend.run.folder import RunFolder, all_runs

START = 1_795_000_000.0
"""2026-11-18 11:06:40 UTC."""
GIB = 2**30
Telling = tuple[float, Event]
"""Seconds since the start, and the event."""

PREDICTED = Prediction(
    peak_bytes=int(12.4 * GIB),
    peak_allocated_bytes=int(11.6 * GIB),
    device_bytes=int(23.5 * GIB),
    hours=3.1,
    hours_low=2.4,
    hours_high=4.1,
    tokens_per_second=2700.0,
    cost_usd=1.40,
    price_usd_per_hour=0.45,
    phases={"load": int(6.1 * GIB), "train": int(11.6 * GIB), "eval": int(8.2 * GIB)},
    corrected_by_runs=3,
)
PROMPT = "Natalia sold clips to 48 of her friends in April, and then half as many in May. How many clips in all?"
BEFORE = "Natalia sold 48 clips in April. In May she sold 48 / 2 = 48 clips, so there are many clips. Clips are small."
AFTER = "In May she sold 48 / 2 = 24 clips. Together she sold 48 + 24 = 72 clips.\n#### 72"
SECOND = "Weng earns $12 an hour for babysitting. Yesterday she did 50 minutes. How much did she earn?"


@dataclass(frozen=True)
class Story:
    """How long a run is, and on what."""

    total_steps: int = 3600
    step_seconds: float = 2.9
    device: str = "cuda"
    seed: int = 1

    def begin(self) -> Iterator[Telling]:
        """The events until the first step."""
        yield 0.0, PhaseStarted(name="data")
        yield 1.5, Logged(level="info", text="4,800 rows, 1.9 M target tokens; 240 rows held out")
        yield 2.0, PhaseStarted(name="load")
        yield 3.0, self._memory(2.0, 2.0)
        yield (
            24.0,
            RunStarted(
                method="qlora",
                device=self.device,
                total_steps=self.total_steps,
                epochs=3.0,
                step=0,
                train_rows=4560,
                trainable_parameters=41_943_040,
                predicted=PredictedFigures(**_fields(PREDICTED)),
            ),
        )
        yield 24.5, Logged(level="info", text="QLoRA rank 16 on 224 layers, 41.9 M parameters train")
        yield 25.0, PhaseStarted(name="eval")
        yield 60.0, Evaluated(step=0, loss=1.569)
        yield 60.1, PhaseStarted(name="sample")
        yield 66.0, Sampled(step=0, prompt=PROMPT, text=BEFORE)
        yield 66.0, Sampled(step=0, prompt=SECOND, text="She earned 12 dollars, or 50.")
        yield 66.1, PhaseStarted(name="train")

    def steps(self, upto: int) -> Iterator[Telling]:
        """The events of steps, with everything that comes between them."""
        noise, at = random.Random(self.seed), 66.1
        for step in range(1, upto + 1):
            at += self.step_seconds
            yield at, self._step(step, noise)
            if step % 10 == 1:
                yield at, self._memory(10.2 + 0.3 * noise.random(), 10.6 + min(0.7, step / 400))
                if self.device == "cuda":
                    yield (
                        at,
                        GpuReading(utilisation_percent=97 + step % 3, temperature_c=69 + step % 4, power_watts=398.0),
                    )
            if step % (self.total_steps // 10) == 0:
                yield from self._evaluation(step, at)

    def _step(self, step: int, noise: random.Random) -> StepDone:
        rate = 2850 + noise.gauss(0, 40)
        return StepDone(
            step=step,
            total_steps=self.total_steps,
            epoch=3.0 * step / self.total_steps,
            loss=self._curve(step) + noise.gauss(0, 0.07),
            tokens=8192,
            learning_rate=2e-4 * 0.5 * (1 + math.cos(math.pi * step / self.total_steps)),
            grad_norm=0.4 + 0.1 * noise.random(),
            tokens_per_second=rate,
            step_seconds=8192 / rate,
            eta_seconds=(self.total_steps - step) * self.step_seconds,
        )

    def _evaluation(self, step: int, at: float) -> Iterator[Telling]:
        yield at, PhaseStarted(name="eval")
        yield at, Evaluated(step=step, loss=self._curve(step) + 0.02)
        yield at, Sampled(step=step, prompt=PROMPT, text=AFTER)
        yield (
            at,
            Sampled(step=step, prompt=SECOND, text="50 / 60 = 5/6 of an hour.\n12 * 5/6 = 10.\n#### 10"),
        )
        yield at, CheckpointSaved(step=step, path=f"checkpoints/step-{step}")
        yield at, PhaseStarted(name="train")

    def _curve(self, step: int) -> float:
        return 0.86 + 0.7 * math.exp(-4.5 * step / self.total_steps)

    def _memory(self, now: float, peak: float) -> MemoryReading:
        kind = "cuda" if self.device == "cuda" else "rss"
        return MemoryReading(
            kind=kind,
            allocated_bytes=int(now * GIB),
            reserved_bytes=int(now * GIB),
            peak_bytes=int(peak * GIB),
            device_bytes=int(23.5 * GIB),
        )


def _fields(predicted: Prediction) -> dict[str, Any]:
    return {name: getattr(predicted, name) for name in predicted.__dataclass_fields__}


def make_run(method: str = "qlora", model: str = "llama-3.1-8b", device: str = "cuda") -> RunFolder:
    """An empty run folder."""
    plan = Plan(method=method)  # type: ignore[arg-type]
    device_name = "RTX 4090" if device == "cuda" else "CPU"
    job = Job(model, f"/models/{model}", "rows.jsonl", plan, device, device_name, predicted=PREDICTED, created=START)
    made = RunFolder.create(job)
    before = len(all_runs()) - 1
    name = f"20261118-110640-{model}-{method}" + (f"-{before + 1}" if before else "")
    return RunFolder(made.path.rename(made.path.with_name(name)))


def tell(folder: RunFolder, *parts: Iterable[Telling]) -> float:
    """Append events; returns the time of the last one."""
    log, at = EventLog(folder.events_file), 0.0
    for part in parts:
        for at, event in part:
            log.write(replace(event, t=START + at))
    log.close()
    return START + at


def measure(folder: RunFolder, at: float) -> None:
    """What each phase took, and that the next prediction is corrected by it."""
    peaks = {"data": 0.0, "load": 5.7, "eval": 8.9, "sample": 6.4, "train": 11.3, "checkpoint": 6.2, "save": 6.2}
    log = EventLog(folder.events_file)
    phases = {name: PhasePeak(peak_bytes=int(peak * GIB)) for name, peak in peaks.items()}
    log.write(PhasesMeasured(t=at, kind="cuda", as_planned=True, phases=phases))
    log.write(Calibrated(t=at, kept=True, reason=None))
    log.close()


def finish(folder: RunFolder, at: float, state: str, **fields: Any) -> None:
    """The last event."""
    log = EventLog(folder.events_file)
    log.write(RunFinished(t=at, state=state, seconds=at - START, **fields))
    log.close()
