"""A comparison with fixed figures: what the screens look like must not change with the planner's tuning."""

from __future__ import annotations

from dataclasses import replace

from backend.answers import Answers, Method
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.plan.plan import Plan
from backend.plan.preset import Preset
from backend.planner.device import Device
from backend.planner.estimates import Comparison, Fit, HostEstimate, Interval, MemoryEstimate, MethodEstimate
from backend.planner.outlook import Outlook

GIB, MIB = 2**30, 2**20
CATEGORIES: dict[Method, dict[str, int]] = {
    "lora": {
        "weights": 15316 * MIB, "adapters": 160 * MIB, "gradients": 160 * MIB, "optimizer": 320 * MIB,
        "activations": 4096 * MIB, "logits": 640 * MIB, "workspace": 8 * MIB, "reserve": 1200 * MIB,
    },
    "qlora": {
        "weights": 5438 * MIB, "adapters": 160 * MIB, "gradients": 160 * MIB, "optimizer": 320 * MIB,
        "activations": 4096 * MIB, "logits": 640 * MIB, "workspace": 120 * MIB, "reserve": 1200 * MIB,
    },
    "full": {
        "weights": 15316 * MIB, "gradients": 15316 * MIB, "optimizer": 15316 * MIB, "activations": 4096 * MIB,
        "logits": 640 * MIB, "workspace": 8 * MIB, "reserve": 2400 * MIB,
    },
}  # fmt: skip
FITS: dict[Method, Fit] = {"lora": "tight", "qlora": "fits", "full": "no"}
HOURS: dict[Method, float] = {"lora": 2.6, "qlora": 3.1, "full": 5.8}
WHY_NOT: dict[Method, tuple[str, ...]] = {
    "lora": ("LoRA would leave 1.5 GiB of this card: one long row ends the run.",),
    "qlora": (),
    "full": (
        "Full needs 51.8 GiB of the 22.9 GiB that an RTX 4090 has.",
        "A change of format is within an adapter's reach, with less to forget.",
    ),
}


def estimate(method: Method, epochs: float) -> MethodEstimate:
    plan = replace(Plan(), method=method, epochs=epochs, learning_rate=2e-5 if method == "full" else 2e-4)
    peak, hours = sum(CATEGORIES[method].values()), HOURS[method] * epochs / 3
    return MethodEstimate(
        method=method,
        plan=plan,
        origin={"max_length": "99.5 % of the rows fit", "epochs": "you" if epochs != 3 else "4,800 rows"},
        fit=FITS[method],
        memory=MemoryEstimate(peak, peak - 1200 * MIB, "backward", CATEGORIES[method], {}),
        least_bytes=peak,
        steps=round(300 * epochs),
        hours=Interval(0.8 * hours, hours, 1.3 * hours),
        cost_usd=Interval(0.3 * hours, 0.45 * hours, 0.88 * hours),
        tokens_per_second=Interval(400, 500, 650),
        trainable_parameters=8_030_261_248 if method == "full" else 41_943_040,
        checkpoint_bytes=16_060_522_496 if method == "full" else 167_772_160,
        host=HostEstimate({"train": 4 * 2**30}, {"result": 200_000_000_000 if method == "full" else 2_200_000_000}),
        quality_ceiling={"lora": "very high", "qlora": "high", "full": "highest"}[method],
        forgetting_risk={"lora": "low to moderate", "qlora": "low to moderate", "full": "high"}[method],
        why_not=WHY_NOT[method],
    )


def outlook(preset: Preset, answers: Answers, device: Device, model: ModelInfo, data: DataReport) -> Outlook:
    method = preset.plan.get("method", "qlora")
    return Outlook(method, estimate(method, 3.0), device, model.shape.name, data.rows, data.reference)


def compare(
    answers: Answers, device: Device, model: ModelInfo, data: DataReport, start: Preset | None = None
) -> Comparison:
    epochs = answers.epochs or 3.0
    return Comparison(
        answers=answers,
        device=device,
        model=model,
        data=data,
        methods={method: estimate(method, epochs) for method in ("lora", "qlora", "full")},
        recommended="qlora",
        reasons=(
            "LoRA would leave 1.5 GiB of this card: one long row ends the run.",
            "4,800 rows, 1.1 M target tokens; an adapter of rank 16 has 41.9 M parameters, room enough for them.",
            "Your budget of $40 pays for 28 such runs.",
        ),
        notes=("GPU 0 is in use by python3 (pid 4242), 600 MiB.",),
    )
