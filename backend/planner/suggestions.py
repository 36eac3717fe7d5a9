"""What would make a method fit that does not, the smallest change first. Each suggestion is computed, not guessed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from backend import constants, units
from backend.answers import Answers, Method
from backend.data.report import DataReport
from backend.hardware import catalogue
from backend.model.info import ModelInfo
from backend.plan.plan import EXECUTION, Plan
from backend.planner import devices, fit, memory, rules, throughput
from backend.planner.device import Device
from backend.planner.estimates import MethodEstimate

LEANER: Mapping[Method, tuple[Method, ...]] = {"full": ("lora", "qlora"), "lora": ("qlora",), "qlora": ()}
"""Methods that need less memory, the nearest first."""


@dataclass(frozen=True)
class Stuck:
    """A job, and the method that does not fit its device."""

    answers: Answers
    device: Device
    model: ModelInfo
    data: DataReport
    pinned: rules.Pinned
    seen: MethodEstimate

    def choice(self, device: Device, pinned: rules.Pinned | None = None) -> fit.FittedPlan:
        """The method's settings on another device, or with other settings pinned."""
        pinned = pinned or self.pinned
        plan, _ = rules.settle(self.seen.method, self.answers, device, self.model, self.data, pinned)
        return fit.choose(plan, self.model, device, self.data, pinned)

    def peak(self, plan: Plan, device: Device | None = None) -> int:
        """Bytes that `plan` takes on a device, or the job's."""
        return fit.predict(self.model, plan, device or self.device, throughput.work(plan, self.data)).peak_bytes


def suggestions(stuck: Stuck, estimates: Mapping[Method, MethodEstimate]) -> tuple[str, ...]:
    """Sentences: a setting left open, a shorter `max_length`, a leaner method, another GPU, several of them."""
    return (
        *_open_settings(stuck),
        *_shorter(stuck),
        *_leaner_method(stuck, estimates),
        *_other_gpu(stuck),
        *_several(stuck),
    )


def _open_settings(stuck: Stuck) -> Iterator[str]:
    """Execution settings that the user set, if the planner's own would fit."""
    own = [name for name in EXECUTION if name in stuck.pinned.values]
    if not own:
        return
    rest = {name: value for name, value in stuck.pinned.values.items() if name not in own}
    chosen = stuck.choice(stuck.device, rules.Pinned(rest, stuck.pinned.origin))
    if fit.verdict(chosen.memory, stuck.device) != "no":
        yield f"With {_listed(own)} left to the planner it takes {units.gib(chosen.memory.peak_bytes)}, which fits."


def _shorter(stuck: Stuck) -> Iterator[str]:
    """The longest `max_length` that fits, by bisection: memory grows with it."""
    lengths = list(_lengths(stuck.seen.plan.max_length))
    room = fit.available(stuck.device)
    plans = [replace(stuck.seen.plan, max_length=length) for length in lengths]
    if not plans or stuck.peak(plans[-1]) > room:
        return
    low, high = 0, len(plans) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if stuck.peak(plans[middle]) <= room else (middle + 1, high)
    cut = stuck.data.cut(lengths[low]).truncated_rows
    words = f"{cut:,} of {stuck.data.rows:,} rows would be cut" if cut else "no row would be cut"
    peak = units.gib(stuck.peak(plans[low]))
    yield f"With --max-length {lengths[low]} it takes {peak}, which fits; {words}."


def _lengths(length: int) -> Iterator[int]:
    """Three quarters, a half, three eighths ... of `length`, down to the shortest that is worth training on."""
    least = constants.methods().suggestions.shortest_length
    half = length // 2
    while half >= least:
        yield from (half * 3 // 2, half)
        half //= 2


def _leaner_method(stuck: Stuck, estimates: Mapping[Method, MethodEstimate]) -> Iterator[str]:
    for method in LEANER[stuck.seen.method]:
        other = estimates[method]
        if other.fit != "no":
            yield f"{rules.title(method)} takes {units.gib(other.memory.peak_bytes)}, which fits."
            return


def _other_gpu(stuck: Stuck) -> Iterator[str]:
    """The GPU of the catalogue with the lowest price for an hour on which the method fits.

    If it fits on none, several of a kind for full fine-tuning, which is sharded over them.
    """
    wanted = stuck.pinned.values.get("processes")
    sharded = stuck.seen.method == "full" and wanted is None
    several = constants.methods().rent.counts[1:] if sharded else ()
    leanest = _leanest(stuck)
    for hourly, device in (*_offers((wanted or 1,)), *_offers(several)):
        if device.name == stuck.device.name or not _may_hold(stuck, leanest, device):
            continue
        chosen = stuck.choice(device)
        if fit.verdict(chosen.memory, device) != "no":
            takes = f"{units.gib(chosen.memory.peak_bytes)} of {units.gib(device.memory_bytes)}{_each(device)}"
            cost = f"about {units.usd(hourly)} an hour"
            yield f"The cheapest GPU to rent on which it fits is {_article(device)}: {takes}, {cost}."
            return
        leanest = chosen.plan


@functools.cache
def _offers(counts: tuple[int, ...]) -> tuple[tuple[float, Device], ...]:
    """NVIDIA GPUs with a dated price, in these numbers: USD an hour for all of them together, the cheapest first."""
    priced = [
        (spec.offer.typical * count, devices.from_catalogue(spec, count))
        for spec in catalogue.specs()
        for count in counts
        if spec.offer and spec.compute_capability
    ]
    return tuple(sorted(priced, key=lambda pair: pair[0]))


def _leanest(stuck: Stuck) -> Plan | None:
    """The plan that did not fit, if its device supports every saving: then it is the leanest plan on any GPU."""
    return stuck.seen.plan if stuck.device.kind == "cuda" and stuck.device.bf16 else None


def _may_hold(stuck: Stuck, leanest: Plan | None, device: Device) -> bool:
    """Whether settings are worth choosing: if the leanest plan does not fit, none does."""
    room = fit.available(device)
    if leanest is not None:
        return stuck.peak(replace(leanest, processes=device.count), device) <= room
    return memory.weights(stuck.model.shape, stuck.seen.plan) <= room * device.count


def _several(stuck: Stuck) -> Iterator[str]:
    """More of the same GPU, for full fine-tuning, which is sharded; replicas of an adapter would not get smaller."""
    if stuck.seen.method != "full" or stuck.device.kind != "cuda" or "processes" in stuck.pinned.values:
        return
    for count in constants.methods().rent.counts:
        device = replace(stuck.device, count=count)
        if count <= stuck.device.count or not _may_hold(stuck, _leanest(stuck), device):
            continue
        chosen = stuck.choice(device)
        if fit.verdict(chosen.memory, device) != "no":
            takes = f"{units.gib(chosen.memory.peak_bytes)} of {units.gib(fit.available(device))}"
            yield f"Sharded over {device.label} it takes {takes}{_each(device)}."
            return


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _article(device: Device) -> str:
    return device.label if device.count > 1 else units.with_article(device.name)


def _each(device: Device) -> str:
    return " on each" if device.count > 1 else ""
