"""Several boxes (nodes) of the same kind: what they send each other, and what another one buys.

Ranks are in one ring, so that of n ranks the link of each box carries (n - 1) / n of what is gathered, or scattered
while it is summed, and twice that of what is summed on all of them (Patarasu and Yuan, "Bandwidth Optimal All-reduce
Algorithms", 2009; nccl-tests, doc/PERFORMANCE.md). A sharded model is gathered for the forward pass and again for the
backward pass, and its gradients are scattered (Rajbhandari et al., "ZeRO", 1910.02054, section 7: three times the
parameters a pass).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from backend import units
from backend.answers import Answers
from backend.errors import UserError
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner import memory
from backend.planner.device import Device
from backend.planner.estimates import MethodEstimate

BITS = 8
GIGA = 1e9


def spread(device: Device, answers: Answers) -> Device:
    """`device` in as many boxes as the answers say. Raises UserError if they can't be planned for."""
    count, gbps = answers.nodes or 1, answers.node_gbps
    if count == 1 and gbps is None:
        return device
    if device.kind == "cpu":
        raise UserError("nodes: several boxes are planned for GPUs; say which, --gpu NAME:COUNT", "nodes")
    if gbps is None:
        how = "such as 10, 25 or 400 (`iperf3 -c OTHER_BOX` measures it)"
        raise UserError(f"nodes: say what a box sends to another with --node-gbps, in Gbit/s, {how}", "node_gbps")
    linked = replace(
        device,
        per_node=len(device.pool.cards) if device.pool else device.count,
        node_bytes_per_second=gbps * GIGA / BITS,
    )
    return linked if count == 1 else replace(linked, count=count * device.count, **_ELSEWHERE)


_ELSEWHERE: dict[str, Any] = {"here": False, "pool": None, "uuids": (), "taken": (), "box": None, "calibration": None}
"""The fields that describe this box alone, with their values for several boxes."""


def other_number(device: Device) -> Device | None:
    """One box if there are several, two if there is one; None if the bandwidth between them is not known."""
    if not device.per_node:
        return None
    return replace(device, count=device.per_node if device.nodes > 1 else 2 * device.per_node, **_ELSEWHERE)


def pass_bytes(shape: ModelShape, plan: Plan) -> float:
    """Bytes that a box sends in a micro-batch: weights and gradients of a sharded model."""
    if not memory.is_sharded(plan):
        return 0.0
    return _ring(plan) * shape.parameters * (2 * memory.compute_bytes(plan) + memory.FLOAT32)


def step_bytes(shape: ModelShape, plan: Plan) -> float:
    """Bytes that a box sends once a step: the gradients of adapters, after the backward pass."""
    if memory.is_sharded(plan):
        return 0.0
    return 2 * _ring(plan) * memory.trainable(shape, plan) * memory.trained_bytes(plan)


def _ring(plan: Plan) -> float:
    return (plan.processes - 1) / plan.processes


def sentence(device: Device, seen: MethodEstimate, other: Device, there: MethodEstimate) -> str:
    """What the second box, or all but the first, buy: time and money."""
    many, few = (seen, there) if device.nodes > other.nodes else (there, seen)
    boxes, link = max(device.nodes, other.nodes), device.node_bytes_per_second * BITS / GIGA
    what = f"{'A second box' if boxes == 2 else f'{boxes} boxes'} over {link:g} Gbit/s"
    if many.fit == "no":
        return f"{what}: it would not fit there either."
    if few.fit == "no":
        return f"{what}: it fits on each, and on one box alone it does not."
    time = f"{units.duration(many.hours.point * 3600)} instead of {units.duration(few.hours.point * 3600)}"
    money = ""
    if many.cost_usd and few.cost_usd:
        money = f", {units.usd(many.cost_usd.point)} instead of {units.usd(few.cost_usd.point)}"
    return f"{what}: {time}{money}."
