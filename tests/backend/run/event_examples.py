"""One event of each type, as docs/events.md shows them."""

from __future__ import annotations

from backend.run.events import (
    AnyEvent,
    Calibrated,
    CheckpointSaved,
    Evaluated,
    FindingReported,
    ForgettingMeasured,
    GpuReading,
    Logged,
    MemoryReading,
    OutOfMemory,
    PhasePeak,
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

_FIRST = 1_795_000_000.0
_RUN = RunStarted(
    t=_FIRST,
    model="llama-3.1-8b",
    data="support.jsonl",
    method="qlora",
    device="cuda",
    device_name="RTX 4090",
    epochs=3.0,
    plan={"method": "qlora", "rank": 16, "learning_rate": 2e-4},
    predicted=PredictedFigures(
        peak_bytes=13_314_398_617,
        peak_allocated_bytes=12_455_405_158,
        device_bytes=25_232_932_864,
        hours=0.75,
        hours_low=0.6,
        hours_high=0.95,
        tokens_per_second=2700.0,
        cost_usd=0.34,
        price_usd_per_hour=0.45,
        phases={"train": 12_455_405_158},
    ),
    versions={"python": "3.11.7", "torch": "2.9.1"},
    total_steps=855,
    train_rows=4560,
    eval_rows=240,
    dropped_rows=0,
    truncated_rows=12,
    trainable_parameters=41_943_040,
)
_STEP = StepDone(
    t=_FIRST + 70,
    step=1,
    total_steps=855,
    epoch=0.0035,
    loss=1.5688,
    learning_rate=2e-4,
    grad_norm=0.41,
    tokens=8192,
    scored_tokens=3071,
    tokens_per_second=2824.8,
    step_seconds=2.9,
    eta_seconds=2510.0,
)
_MEMORY = MemoryReading(
    t=_FIRST + 71,
    kind="cuda",
    allocated_bytes=10_952_166_604,
    reserved_bytes=12_133_292_441,
    peak_bytes=12_133_292_441,
    peak_reserved_bytes=12_348_030_976,
    device_bytes=25_232_932_864,
    phase="train",
)
_LOAD = PhasePeak(
    peak_bytes=6_120_328_396, reserved_bytes=6_442_450_944, rest_bytes=5_905_580_032, seconds=21.8, times=1
)
_END = RunFinished(
    t=_FIRST + 2590,
    state="done",
    step=855,
    total_steps=855,
    loss=0.861,
    eval_loss_before=1.569,
    eval_loss=0.888,
    peak_bytes=12_133_292_441,
    hours=0.7194,
    seconds=2590.0,
    train_seconds=2480.0,
    tokens=7_004_160,
    tokens_per_second=2824.3,
    result="/home/you/runs/20261118-110640-llama-3.1-8b-qlora/result",
    bytes=167_832_240,
)
EXAMPLES: tuple[AnyEvent, ...] = (
    _RUN,
    PhaseStarted(t=_FIRST + 1, name="load"),
    _STEP,
    _MEMORY,
    GpuReading(
        t=_FIRST + 71, utilisation_percent=97.0, temperature_c=69.0, power_watts=398.0, used_bytes=12_884_901_888
    ),
    Evaluated(t=_FIRST + 60, step=0, loss=1.569, perplexity=4.8018, seconds=35.0),
    Sampled(t=_FIRST + 66, step=0, prompt="What is 48 / 2?", text="It is 48.", wanted="It is 24."),
    CheckpointSaved(t=_FIRST + 400, path="checkpoints/step-100", step=100, bytes=503_316_480),
    OutOfMemory(
        t=_FIRST + 68,
        step=0,
        during="step 1",
        text="out of memory in step 1: CUDA out of memory. Tried to allocate 2 GiB",
    ),
    Replanned(t=_FIRST + 69, step=0, changed={"micro_batch": 2}, text="goes on with less memory: micro-batch 4 -> 2"),
    Logged(t=_FIRST + 2, level="info", text="4,800 rows; 240 are held out"),
    PhasesMeasured(t=_FIRST + 2589, kind="cuda", as_planned=True, phases={"load": _LOAD}, context_bytes=471_859_200),
    Calibrated(t=_FIRST + 2589, kept=True),
    ForgettingMeasured(
        t=_FIRST + 390,
        step=100,
        part="prose",
        loss=2.91,
        base_loss=2.84,
        kl=0.061,
        low=0.012,
        high=0.039,
        examples=40,
        tokens=9210,
    ),
    TaskScored(t=_FIRST + 395, step=100, name="arithmetic", score=0.62, low=0.56, high=0.68, rows=240),
    FindingReported(
        t=_FIRST + 396, severity="warns", text="the held-out loss has risen since step 60", fix="set epochs to 1"
    ),
    _END,
)
