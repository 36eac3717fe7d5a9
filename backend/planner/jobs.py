"""From the comparison to a job: the plan, and what was predicted for it."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from backend import paths
from backend.answers import Answers, Method
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.plan.job import Job, Prediction, Uncorrected
from backend.plan.plan import Plan
from backend.planner import cost, fit, overhead, rules, start, throughput
from backend.planner.corrected import parts, phase_peaks
from backend.planner.device import Device
from backend.planner.estimates import Comparison, MethodEstimate


def job(comparison: Comparison, method: Method, preset: str | None = None) -> Job:
    """The job that trains `method` as the comparison planned it."""
    seen, device, answers = comparison.methods[method], comparison.device, comparison.answers
    return Job(
        model=absolute(answers.model) if comparison.model.folder and answers.model != "demo" else answers.model,
        model_folder=model_folder(comparison.model),
        hub_id=comparison.model.hub_id,
        data=absolute(answers.data) if answers.data != "demo" else answers.data,
        plan=_rooted(seen.plan),
        device=device.kind,
        device_name=device.name,
        device_uuids=device.uuids[: seen.plan.processes] if device.here else (),
        predicted=_predicted(comparison, seen),
        mapping=answers.mapping,
        output=output(answers),
        created=time.time(),
        preset=preset,
        budget_usd=answers.budget_usd,
        adapter=str(comparison.model.adapter.folder) if comparison.model.adapter else None,
        adapter_is_merged=start.is_merged(comparison.model, seen.plan),
        added_tokens=comparison.model.added_tokens,
    )


def _predicted(comparison: Comparison, seen: MethodEstimate) -> Prediction:
    device, shape = comparison.device, comparison.model.shape
    rate, own = cost.price(comparison.answers, device), device.correction(seen.method, shape.parameters)
    return Prediction(
        peak_bytes=seen.memory.peak_bytes,
        peak_allocated_bytes=seen.memory.peak_allocated_bytes,
        device_bytes=device.memory_bytes,
        hours=_known(seen.hours.point),
        hours_low=_known(seen.hours.low),
        hours_high=_known(seen.hours.high),
        tokens_per_second=_known(seen.tokens_per_second.point),
        cost_usd=seen.cost_usd.point if seen.cost_usd else None,
        price_usd_per_hour=rate.typical if rate else None,
        budget_usd=comparison.answers.budget_usd,
        phases=phase_peaks(seen.memory, shape, seen.plan, device),
        corrected_by_runs=max(own.runs, own.memory_runs),
        uncorrected=uncorrected(comparison.model, seen.plan, device, comparison.data),
        trainable_parameters=seen.trainable_parameters,
    )


def uncorrected(model: ModelInfo, plan: Plan, device: Device, data: DataReport) -> Uncorrected:
    """What the formulas predict for this plan, as if nothing had run on this box before."""
    new, load = replace(device, calibration=None), throughput.work(plan, data)
    step = throughput.step_seconds(model.shape, plan, new, load)
    written = overhead.checkpoint_seconds(model.shape, plan, rules.steps(plan, data))
    return Uncorrected(
        parameters=model.shape.parameters,
        memory=parts(fit.predict(model, plan, new, load), model.shape, plan, new),
        tokens_per_second=load.step_tokens / step.point if step else 0.0,
        flops_per_token=throughput.flops_per_token(model.shape, plan, load),
        device_flops_per_second=device.flops_per_second,
        overhead_seconds=overhead.start_seconds(model, plan) + written,
    )


def _rooted(plan: Plan) -> Plan:
    """The plan with an absolute path of its file of general text."""
    return replace(plan, general_data=absolute(plan.general_data)) if plan.general_data else plan


def output(answers: Answers) -> str | None:
    """The absolute path of the folder that the result is copied to, see `absolute`; None for no such folder."""
    return str(paths.expanded(answers.output).absolute()) if answers.output else None


def absolute(reference: str) -> str:
    """An absolute path: the run may be resumed from another folder. A hub id stays as it is."""
    path = paths.existing(reference, "data")
    return str(path.absolute()) if path else reference


def _known(figure: float) -> float | None:
    return None if math.isnan(figure) else figure


def model_folder(model: ModelInfo) -> str:
    """Where the trainer finds the weights: a folder on this box, `demo`, or a hub id that it downloads first."""
    if model.kind == "demo":
        return "demo"
    if model.folder is not None and model.has_weights:
        return str(model.folder)
    return model.hub_id or model.reference
