"""Several boxes, and cards of different kinds: what is sent, what limits the speed, what another box gains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.answers import Answers
from backend.errors import UserError
from backend.plan.plan import Plan
from backend.planner import devices, gpu_time, memory, nodes, situation
from backend.planner.estimates import Comparison
from backend.planner.gpu_time import Pass

JOB: dict[str, Any] = {"model": "8b", "rows": 5000, "row_tokens": 400, "gpu": "H100:8", "nodes": 2, "node_gbps": 100.0}


def planned(**changes: Any) -> Comparison:
    return situation.predict(Answers(**{**JOB, **changes}))


def test_what_a_box_sends() -> None:
    """8B in shards over 16 ranks: 15/16 of two gathers in 16 bits and a float32 scatter; adapters' gradients."""
    seen = planned()
    shape, full, lora = seen.model.shape, seen.methods["full"].plan, seen.methods["lora"].plan
    assert (full.processes, seen.device.nodes, seen.device.per_node) == (16, 2, 8)
    assert nodes.pass_bytes(shape, full) == pytest.approx(15 / 16 * 8.03e9 * (2 * 2 + 4), rel=1e-3)
    assert nodes.step_bytes(shape, full) == nodes.pass_bytes(shape, lora) == 0
    trained = memory.trainable(shape, lora)
    assert nodes.step_bytes(shape, lora) == pytest.approx(2 * 15 / 16 * trained * memory.trained_bytes(lora))


def test_a_slow_link_is_waited_for() -> None:
    seen = planned()
    shape, full, device = seen.model.shape, seen.methods["full"].plan, seen.device
    one = Pass(2000, 400, 0.5)

    def seconds(gbps: float, plan: Plan = full) -> float:
        return gpu_time.step_seconds(shape, plan, replace(device, node_bytes_per_second=gbps * 1e9 / 8), one, 3)

    sent = 3 * nodes.pass_bytes(shape, full) / (10e9 / 8)
    assert sent < seconds(10) < sent * 1.1  # bound by the link
    fast, alone = seconds(1e6), gpu_time.step_seconds(shape, full, replace(device, per_node=16), one, 3)
    assert fast == pytest.approx(alone, rel=1e-3)
    lora = seen.methods["lora"].plan
    assert seconds(10, lora) - seconds(1e6, lora) == pytest.approx(nodes.step_bytes(shape, lora) / (10e9 / 8), rel=1e-3)


@pytest.mark.parametrize("changes", [{}, {"nodes": None}])
def test_what_a_second_box_buys_is_said_either_way(changes: dict[str, Any]) -> None:
    seen, two, one = planned(**changes), planned(), planned(nodes=1)
    (said,) = [note for note in seen.notes if note.startswith("A second box over 100 Gbit/s: ")]
    method = seen.recommended
    assert method is not None and seen.device.nodes == (2 if changes == {} else 1)
    costs = [x.methods[method].cost_usd for x in (two, one)]
    assert costs[0] and costs[1] and f"${costs[0].point:.2f} instead of ${costs[1].point:.2f}" in said
    assert two.methods[method].hours.point != one.methods[method].hours.point


def test_what_fits_on_two_boxes_only_is_said() -> None:
    seen = planned(model="70b", gpu="H100:4", set=("method=full", "effective_batch=16"), shift="deep")
    assert seen.methods["full"].fit != "no"
    assert "A second box over 100 Gbit/s: it fits on each, and on one box alone it does not." in seen.notes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"node_gbps": None}, "say what a box sends to another with --node-gbps"),
        ({"node_gbps": 0.0}, "node-gbps: 0 won't do"),
        ({"node_gbps": float("nan")}, "node-gbps: nan won't do"),
        ({"nodes": 0}, "nodes: 0 won't do"),
        ({"gpu": "cpu"}, "several boxes are planned for GPUs"),
        ({"gpu": "4090+cpu"}, "leave the CPU out"),
        ({"gpu": "4090+"}, "has no name"),
    ],
)
def test_wrong_input(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        planned(**changes)


def test_the_smallest_and_the_slowest_bound_unlike_cards() -> None:
    four, three = devices.named("4090"), devices.named("3060")
    both = devices.named("4090:2 + 3060")
    assert (both.count, both.memory_bytes, both.flops_per_second) == (3, three.memory_bytes, three.flops_per_second)
    assert both.label == "2 x RTX 4090 + RTX 3060 12GB"
    assert gpu_time.gpu_class(both) == gpu_time.gpu_class(three)
    assert both.price is None and three.price is None
    rented, other = devices.named("4090:2+A100-40GB"), devices.named("A100-40GB")
    assert four.price and other.price and rented.price
    assert 3 * rented.price.typical == pytest.approx(2 * four.price.typical + other.price.typical)
    assert both.notes[-1].startswith("Unlike cards get the same rows: the memory of the RTX 3060 12GB and the speed of")
