"""The comparison: the three methods planned for one job on one device, and the recommended one."""

from __future__ import annotations

from dataclasses import replace

from backend import constants
from backend.answers import METHODS, Answers, Method
from backend.data import objectives
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.plan.preset import Preset
from backend.planner import (
    choice,
    cost,
    findings,
    fit,
    host,
    kernels,
    learned,
    memory,
    nodes,
    passed_over,
    rules,
    several,
    start,
    throughput,
)
from backend.planner.device import Device
from backend.planner.estimates import Comparison, Interval, MethodEstimate
from backend.planner.suggestions import Stuck, suggestions

UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


def compare(
    answers: Answers,
    device: Device,
    model: ModelInfo,
    data: DataReport,
    preset: Preset | None = None,
    *,
    advise: bool = True,
) -> Comparison:
    """Plan all three methods and choose. Pure: no file is read but presets/, nothing is loaded.

    The plan fields of `preset` are kept. Without `advise` no suggestions are made for a method that does not fit.
    Raises UserError for a setting that is unknown or contradicts another.
    """
    pinned = rules.pin(answers, preset)
    kernels.refuse(device, pinned.values)
    objectives.refuse(pinned.values.get("objective", "sft"), data.reference, data.objectives)
    device = several.take(device, min(pinned.values.get("processes", device.count), several.most(device)))
    estimates = {method: estimate(method, answers, device, model, data, pinned) for method in METHODS}
    rules.refuse_unevaluated(pinned.values, estimates[METHODS[0]].plan, data)
    device = several.take(device, max(seen.plan.processes for seen in estimates.values()))
    if advise:
        estimates = {
            method: replace(seen, suggestions=suggestions(Stuck(answers, device, model, data, pinned, seen), estimates))
            if seen.fit == "no"
            else seen
            for method, seen in estimates.items()
        }
    wanted = pinned.values.get("method")
    verdict = choice.choose(answers, device, model, data, estimates, wanted)
    evaluated = {
        method: replace(seen, why_not=verdict.why_not.get(method, ()), obstacles=verdict.obstacles[method])
        for method, seen in estimates.items()
    }
    between = _between(answers, device, model, data, pinned, evaluated.get(verdict.method or METHODS[0]))
    found = findings.findings(data, estimates[verdict.method or METHODS[0]].plan)
    stops = findings.stops(found)
    return Comparison(
        answers=answers,
        device=device,
        model=model,
        data=data,
        methods=evaluated,
        recommended=None if stops else verdict.method,
        reasons=stops or verdict.reasons,
        notes=(
            *device.taken,
            *device.notes,
            *learned.sentences(device, model.shape.parameters),
            *model.notes,
            *start.sentences(model, estimates),
            *(x.text for x in found if x.severity != "notes"),
            *verdict.notes,
            *passed_over.sentences(answers, evaluated[verdict.method or wanted or METHODS[0]], device, data),
            *between,
        ),
        findings=found,
        method_set_by=pinned.origin.get("method", ""),
    )


def _between(
    answers: Answers,
    device: Device,
    model: ModelInfo,
    data: DataReport,
    pinned: rules.Pinned,
    seen: MethodEstimate | None,
) -> tuple[str, ...]:
    """What another box buys, in a sentence; none if nothing is known of a link to it, or the user set `processes`."""
    other = nodes.other_number(device)
    if other is None or seen is None or "processes" in pinned.values:
        return ()
    there = estimate(seen.method, answers, other, model, data, pinned)
    return (nodes.sentence(device, seen, other, there),)


def estimate(
    method: Method, answers: Answers, device: Device, model: ModelInfo, data: DataReport, pinned: rules.Pinned
) -> MethodEstimate:
    """One method: its plan, and the predicted memory, time and cost."""
    settled, origin = rules.settle(method, answers, device, model, data, pinned)
    device = several.take(device, settled.processes)
    chosen = fit.choose(settled, model, device, data, pinned)
    plan = kernels.settled(chosen.plan, model.shape, device, pinned)
    own = constants.methods().of(method)
    hours = throughput.run_hours(model, plan, device, data, chosen.load)
    step = throughput.step_seconds(model.shape, plan, device, chosen.load)
    return MethodEstimate(
        method=method,
        plan=plan,
        origin=origin | fit.origins(plan, pinned),
        fit=fit.verdict(chosen.memory, device),
        memory=chosen.memory,
        least_bytes=chosen.least_bytes,
        steps=rules.steps(plan, data),
        hours=hours or UNKNOWN,
        hours_by_phase=throughput.phase_hours(model, plan, device, data, chosen.load),
        cost_usd=cost.cost_usd(hours, cost.price(answers, device), device) if hours else None,
        tokens_per_second=_speed(step, chosen.load),
        trainable_parameters=memory.trainable(model.shape, plan),
        checkpoint_bytes=host.result_bytes(model, plan),
        host=host.needs(model, plan, device, data, answers, chosen.memory.peak_bytes),
        quality_ceiling=own.quality_ceiling,
        forgetting_risk=own.forgetting_risk,
    )


def _speed(step: Interval | None, load: throughput.Work) -> Interval:
    if step is None:
        return UNKNOWN
    return Interval(load.step_tokens / step.high, load.step_tokens / step.point, load.step_tokens / step.low)
