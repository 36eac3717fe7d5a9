"""Several devices of one kind: how many of them a run takes, which of this box's, and the sentences on that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backend.answers import Method
from backend.errors import UserError
from backend.planner.device import Card, Device, Pool, Price


def ordered(cards: Iterable[Card]) -> tuple[Card, ...]:
    """GPUs in the order in which a run takes them: the idle ones first, then by free memory."""
    return tuple(sorted(cards, key=lambda card: (not card.idle, -card.free_bytes, card.index)))


def most(device: Device) -> int:
    """The most devices that a run may take: all GPUs of the box, or as many as were named; a CPU's cores."""
    if device.kind == "cpu":
        return device.cores
    if device.pool is None:
        return device.count
    others = device.pool.others
    return len(device.pool.cards) + (most(others) if others else 0)


def take(device: Device, count: int) -> Device:
    """`count` of a device: on this box the GPUs with most free memory, with the figures of the one with least of it.

    For a CPU, the share of its memory and rate that each of `count` processes has.
    """
    if device.kind == "cpu":
        return _shared(device, count)
    if device.pool is None:
        return replace(device, count=count)
    if device.pool.whole:
        return take(device.pool.whole, count)
    if count > len(device.pool.cards) and device.pool.others:
        return _with_others(device, device.pool, device.pool.others, count)
    cards = device.pool.cards[:count]
    return replace(
        device,
        count=len(cards),
        memory_bytes=min(card.memory_bytes for card in cards),
        free_bytes=min(card.free_bytes for card in cards),
        uuids=tuple(card.uuid for card in cards),
        taken=tuple(_taken(device.pool, cards)),
    )


def _shared(device: Device, count: int) -> Device:
    part = device.count / count
    return replace(
        device,
        count=count,
        memory_bytes=round(device.memory_bytes * part),
        free_bytes=round(device.free_bytes * part),
        flops_per_second=device.flops_per_second * part,
        bytes_per_second=device.bytes_per_second * part,
    )


def _with_others(device: Device, pool: Pool, others: Device, count: int) -> Device:
    """All of the largest kind, and some of other kinds of this box."""
    own = take(device, len(pool.cards))
    parts = [own, take(others, count - own.count)]
    label = " + ".join(part.label for part in parts)
    users = (user for part in parts if part.pool for card in part.pool.cards for user in card.users)
    return replace(
        unlike(parts),
        here=True,
        host=device.host,
        notes=(*device.notes, *others.notes, *unlike(parts).notes[-1:]),
        uuids=tuple(uuid for part in parts for uuid in part.uuids),
        pool=replace(pool, whole=device),
        taken=(f"{pool.has}; a run trains on {label}.", *users),
        box=device.box,
        expandable_segments=device.expandable_segments,
        obstacles=device.obstacles,
        kernels=(),
        calibration=None,
    )


def unlike(parts: Sequence[Device]) -> Device:
    """Unlike cards in one box. Each gets an equal share of the rows, so the smallest and the slowest limit the run."""
    slowest, smallest = min(parts, key=lambda x: x.flops_per_second), min(parts, key=lambda x: x.memory_bytes)
    count = sum(part.count for part in parts)
    bound = f"the memory of the {smallest.name} and the speed of the {slowest.slowest or slowest.name} bound all"
    return replace(
        slowest,
        name=" + ".join(part.label for part in parts),
        count=count,
        memory_bytes=smallest.memory_bytes,
        free_bytes=smallest.free_bytes,
        bytes_per_second=min(part.bytes_per_second for part in parts),
        bf16=all(part.bf16 for part in parts),
        price=_mean_price(parts, count),
        watts=sum(part.count * (part.watts or 0.0) for part in parts) / count if all(x.watts for x in parts) else None,
        slowest=slowest.slowest or slowest.name,
        notes=(*(note for part in parts for note in part.notes), f"Unlike cards get the same rows: {bound}."),
    )


def _mean_price(parts: Sequence[Device], count: int) -> Price | None:
    """The mean price of one card; None if the price of any card is not known."""
    known = [(part.count, part.price) for part in parts if part.price]
    if len(known) < len(parts):
        return None
    low, typical, high = (
        sum(number * getattr(price, name) for number, price in known) / count for name in ("low", "typical", "high")
    )
    return Price(low, typical, high, "; ".join(dict.fromkeys(price.source for _, price in known)))


def bounded(device: Device, free_bytes: int) -> Device:
    """`device` with no more free memory than this on any of it."""
    pool = device.pool
    if pool is not None:
        cards = (replace(card, free_bytes=min(card.free_bytes, free_bytes)) for card in pool.cards)
        pool = replace(pool, cards=tuple(cards))
    return replace(device, free_bytes=min(device.free_bytes, free_bytes), pool=pool)


def processes(method: Method, device: Device, known: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Value and origin of `processes`: one for each device that has a row of the batch; empty if nothing changes.

    Full fine-tuning takes one device if its settings can't be sharded.
    """
    asked = int(known.get("processes", device.count))
    if device.kind == "cpu" and "processes" not in known:
        return {}  # one process uses all cores
    if method == "full" and asked > 1 and (alone := _trains_on_one(known)):
        return {"processes": (1, alone)}
    if "processes" in known:
        return {}
    if (rows := int(known["effective_batch"])) < device.count:
        return {"processes": (rows, f"effective_batch is {rows}: each device needs a row of it")}
    return {"processes": (device.count, "the devices")} if device.count > 1 else {}


def refuse(method: Method, device: Device, pinned: Mapping[str, Any], effective_batch: int) -> None:
    """Raise UserError for more processes than devices or rows, or than one if full fine-tuning can't be sharded."""
    count = int(pinned.get("processes", 1))
    if device.kind == "cpu" and count > device.cores:
        fix = f"set processes to at most {device.cores}"
        raise UserError(f"processes: {count}, but this CPU has cores for {device.cores}; {fix}", "processes")
    if count > device.count:
        are = "is one" if device.count == 1 else f"are {device.count}"
        fix = f"say --gpu NAME:{count}" if not device.here else "leave it out"
        raise UserError(f"processes: {count}, but there {are} of the device; {fix}", "processes")
    if count > effective_batch:
        raise UserError(
            f"processes: {count}, but effective_batch is {effective_batch} and each device needs a row of it; set "
            f"processes to at most {effective_batch}, or effective_batch to {count}",
            "processes",
        )
    alone = _trains_on_one(pinned) if method == pinned.get("method") == "full" else ""
    if count > 1 and alone:
        name = next(x for x in ("optimizer", "compile", "kernels") if _trains_on_one({x: pinned.get(x)}))
        raise UserError(f"{name}: {alone}, and processes is {count}; leave {name} out, or set processes to 1", name)


def _trains_on_one(known: Mapping[str, Any]) -> str:
    """Why full fine-tuning with these settings can't be sharded over several devices; empty if it can."""
    if known.get("optimizer") == "adafactor":
        return "adafactor's update needs whole rows of a weight"
    compiles = known.get("compile") or known.get("kernels") == "compiled"
    return "a sharded model is not compiled" if compiles else ""


def _taken(pool: Pool, cards: tuple[Card, ...]) -> Iterator[str]:
    if pool.has.endswith("."):
        yield pool.has
    elif pool.has:
        yield f"{pool.has}; a run trains on {_which(pool, cards)}."
    for card in sorted(cards, key=lambda card: card.index):
        yield from card.users


def _which(pool: Pool, cards: tuple[Card, ...]) -> str:
    idle, numbers = sum(card.idle for card in pool.cards), sorted(card.index for card in cards)
    listed = f"GPU {' and '.join(filter(None, (', '.join(map(str, numbers[:-1])), str(numbers[-1]))))}"
    if len(pool.cards) == 1:
        return f"it, {listed}"
    if len(cards) == len(pool.cards):
        return f"all {len(cards)} of them"
    if len(cards) == idle:
        return f"the {len(cards)} that are idle, {listed}" if idle > 1 else f"the one that is idle, {listed}"
    if len(cards) > 1:
        return f"{len(cards)} of them, {listed}"
    return f"one of them, {listed}" + ("" if idle else ", the freest: none is idle")
