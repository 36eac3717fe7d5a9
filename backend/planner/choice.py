"""Which method to take, by rules that are read from top to bottom.

The rules follow the usual guidance: QLoRA by default; LoRA if the 16-bit model fits with room to spare and the budget
is healthy, or if many variants are kept; full only for a deep change with thousands of clean examples and a budget
that pays for it. If published evidence differs, the reasons say so. Thresholds: presets/methods.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend import units
from backend.answers import Answers, Method
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.planner import reasons
from backend.planner.case import Case
from backend.planner.device import Device
from backend.planner.estimates import MethodEstimate
from backend.planner.rules import title


@dataclass(frozen=True)
class Recommendation:
    """The recommended method with its reasons, and why not each of the others."""

    method: Method | None
    reasons: tuple[str, ...]
    why_not: Mapping[Method, tuple[str, ...]]
    obstacles: Mapping[Method, tuple[str, ...]]
    notes: tuple[str, ...]


def choose(
    answers: Answers,
    device: Device,
    model: ModelInfo,
    data: DataReport,
    estimates: Mapping[Method, MethodEstimate],
    wanted: Method | None = None,
) -> Recommendation:
    """The first rule that holds decides; `wanted` is a method that the user set."""
    case = Case(answers, device, model, data, estimates)
    method, reason = _decide(case, wanted)
    obstacles = {m: tuple(reasons.obstacles(case, m)) for m in estimates}
    notes = tuple(reasons.notes(case, method))
    if method is None:
        against = {m: (*obstacles[m], *estimates[m].suggestions) for m in estimates}
        return Recommendation(None, (reason, *reasons.ways_out(case, wanted)), against, obstacles, notes)
    others: dict[Method, tuple[str, ...]] = {
        m: tuple(reasons.against(case, m, method)) for m in estimates if m != method
    }
    return Recommendation(method, (reason, *reasons.support(case, method)), others, obstacles, notes)


def _decide(case: Case, wanted: Method | None) -> tuple[Method | None, str]:
    answers, data = case.answers, case.data
    if wanted is not None:
        if case.carried(wanted):
            return wanted, f"You set {title(wanted)}."
        return None, f"You set {title(wanted)}. " + " ".join(reasons.obstacles(case, wanted))
    many = data.rows >= case.thresholds.deep_rows
    if answers.shift == "deep" and many and case.clean and answers.variants == 1 and case.carried("full"):
        return "full", f"A deep change with {data.rows:,} clean rows is what full fine-tuning is for, and it fits."
    if answers.variants > 1 and case.carried("lora"):
        size = units.disk(case.estimates["lora"].checkpoint_bytes)
        return "lora", f"You keep {answers.variants} variants: one base in 16 bit, {size} for each adapter."
    if answers.stakes == "high" and case.carried("lora") and case.spare("lora") >= case.evidence.spare:
        return "lora", reasons.stakes(case)
    if case.carried("lora") and case.roomy("lora") and case.healthy("lora"):
        least, room = units.memory(case.estimates["lora"].least_bytes), units.memory(case.room)
        return "lora", f"At its leanest LoRA takes {least} of {room}: nothing is gained by quantising to 4 bit."
    if case.carried("lora") and case.saves_little:
        return "lora", reasons.saves_little(case)
    if case.carried("qlora"):
        return "qlora", reasons.four_bit(case)
    if case.carried("lora"):
        return "lora", "LoRA is the only adapter method that fits your limits."
    if case.carried("full"):
        return "full", "Full fine-tuning is the only method that fits your limits."
    return None, reasons.nothing(case)
