"""From the comparison to a job: what was foreseen is written down beside the plan."""

from __future__ import annotations

import math
import time

from backend.answers import Method
from backend.model.info import ModelInfo
from backend.planner import cost
from backend.planner.outlook import Comparison
from backend.run.job import Foreseen, Job


def job(comparison: Comparison, method: Method, preset: str | None = None) -> Job:
    """The job that trains `method` as the comparison planned it."""
    seen, device, answers = comparison.methods[method], comparison.device, comparison.answers
    rate = cost.price(answers, device)
    known = not math.isnan(seen.hours.point)
    return Job(
        model=answers.model,
        model_folder=model_folder(comparison.model),
        hub_id=comparison.model.hub_id,
        data=answers.data,
        plan=seen.plan,
        device=device.kind,
        device_name=device.name,
        device_uuid=device.uuids[0] if device.here and device.uuids else None,
        foreseen=Foreseen(
            peak_bytes=seen.memory.peak_bytes,
            peak_allocated_bytes=seen.memory.peak_allocated_bytes,
            device_bytes=device.memory_bytes,
            hours=seen.hours.point,
            hours_low=seen.hours.low,
            hours_high=seen.hours.high,
            tokens_per_second=seen.tokens_per_second.point,
            cost_usd=seen.cost_usd.point if seen.cost_usd else None,
            price_usd_per_hour=rate.typical if rate else None,
        )
        if known
        else None,
        mapping=answers.mapping,
        output=answers.output,
        created=time.time(),
        preset=preset,
    )


def model_folder(model: ModelInfo) -> str:
    """Where the trainer finds the weights: a folder on this box, `demo`, or a hub id that it downloads first."""
    if model.kind == "demo":
        return "demo"
    if model.folder is not None and model.has_weights:
        return str(model.folder)
    return model.hub_id or model.reference
