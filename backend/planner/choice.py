"""Which method to take, by rules that are read from top to bottom; each reason is a sentence with the user's numbers.

The rules are the guidance that fttui stands for: QLoRA by default; LoRA when the 16-bit model fits with room and the
budget is healthy, or where many variants are kept; full only for a deep change with thousands of clean examples and
a budget that carries it. Thresholds: presets/methods.toml.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backend import units
from backend.answers import Answers, Method
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.planner import constants, fit, host
from backend.planner.device import Device
from backend.planner.outlook import Outlook
from backend.planner.rules import title


@dataclass(frozen=True)
class Verdict:
    """The recommended method, why it, and why not each of the others."""

    method: Method | None
    reasons: tuple[str, ...]
    why_not: Mapping[Method, tuple[str, ...]]
    obstacles: Mapping[Method, tuple[str, ...]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """All that the rules look at."""

    answers: Answers
    device: Device
    model: ModelInfo
    data: DataReport
    outlooks: Mapping[Method, Outlook]

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The [choice] table of presets/methods.toml."""
        table: Mapping[str, float] = constants.methods()["choice"]
        return table

    @property
    def room(self) -> int:
        """Bytes that a run can have on one device."""
        return fit.available(self.device)

    @property
    def clean(self) -> bool:
        """Few enough duplicates."""
        return self.data.duplicate_rows <= self.thresholds["duplicate_fraction"] * max(1, self.data.rows)

    def over_budget(self, method: Method) -> bool:
        """The run is expected to cost more than the budget."""
        cost, budget = self.outlooks[method].cost_usd, self.answers.budget_usd
        return cost is not None and budget is not None and cost.point > budget

    def too_late(self, method: Method) -> bool:
        """The run is expected to take longer than the deadline."""
        deadline = self.answers.deadline_hours
        return deadline is not None and self.outlooks[method].hours.point > deadline

    def lacking(self, method: Method) -> tuple[str, ...]:
        """What this box has too little of: disk, memory of the host."""
        seen = self.outlooks[method]
        return tuple(host.obstacles(seen.host, seen.plan, self.device))

    def carried(self, method: Method) -> bool:
        """It fits the device and the box, the budget and the deadline."""
        fits = self.outlooks[method].fit != "no" and not self.lacking(method)
        return fits and not self.over_budget(method) and not self.too_late(method)

    def runs_paid(self, method: Method) -> float | None:
        """How many such runs the budget pays for; None without a budget or a price, or at no cost."""
        cost, budget = self.outlooks[method].cost_usd, self.answers.budget_usd
        return budget / cost.point if cost and budget is not None and cost.point > 0 else None

    def roomy(self, method: Method) -> bool:
        """Its leanest settings leave a good part of the device's memory: for speed, longer rows, a surprise."""
        return self.outlooks[method].least_bytes <= self.thresholds["roomy_fraction"] * self.room

    def healthy(self, method: Method) -> bool:
        """The budget pays for more than one such run, or is no limit, or QLoRA would not be cheaper on this device."""
        runs, cost, other = self.runs_paid(method), self.outlooks[method].cost_usd, self.outlooks["qlora"].cost_usd
        cheapest = cost is None or other is None or cost.point <= other.point
        return runs is None or runs >= self.thresholds["healthy_budget"] or cheapest


def choose(
    answers: Answers,
    device: Device,
    model: ModelInfo,
    data: DataReport,
    outlooks: Mapping[Method, Outlook],
    wanted: Method | None = None,
) -> Verdict:
    """The first rule that holds decides; `wanted` is a method that the user set."""
    case = Case(answers, device, model, data, outlooks)
    method, reason = _decide(case, wanted)
    obstacles = {m: tuple(_obstacles(case, m)) for m in outlooks}
    if method is None:
        against = {m: (*obstacles[m], *outlooks[m].mends) for m in outlooks}
        return Verdict(None, (reason, *_ways_out(case, wanted)), against, obstacles, tuple(_notes(case)))
    others: dict[Method, tuple[str, ...]] = {m: tuple(_why_not(case, m, method)) for m in outlooks if m != method}
    return Verdict(method, (reason, *_support(case, method)), others, obstacles, tuple(_notes(case)))


def _decide(case: Case, wanted: Method | None) -> tuple[Method | None, str]:
    answers, data = case.answers, case.data
    if wanted is not None:
        if case.carried(wanted):
            return wanted, f"You set {title(wanted)}."
        return None, f"You set {title(wanted)}. " + " ".join(_obstacles(case, wanted))
    many = data.rows >= case.thresholds["deep_rows"]
    if answers.shift == "deep" and many and case.clean and answers.variants == 1 and case.carried("full"):
        return "full", f"A deep change with {data.rows:,} clean rows is what full fine-tuning is for, and it fits."
    if answers.variants > 1 and case.carried("lora"):
        size = units.disk(case.outlooks["lora"].checkpoint_bytes)
        return "lora", f"You keep {answers.variants} variants: one base in 16 bit, {size} for each adapter."
    if case.carried("lora") and case.roomy("lora") and case.healthy("lora"):
        least, room = units.memory(case.outlooks["lora"].least_bytes), units.memory(case.room)
        return "lora", f"At its leanest LoRA takes {least} of {room}: nothing is gained by squeezing to 4 bit."
    if case.carried("qlora"):
        return "qlora", _qlora_reason(case)
    if case.carried("lora"):
        return "lora", "LoRA is the one adapter method that fits your limits."
    if case.carried("full"):
        return "full", "Full fine-tuning is the only method that fits your limits."
    return None, _nothing(case)


def _qlora_reason(case: Case) -> str:
    """Why 4-bit: LoRA's obstacle, in numbers."""
    lora, qlora = case.outlooks["lora"], case.outlooks["qlora"]
    if lora.fit == "no":
        return f"LoRA needs {_of_room(case, lora)}; 4-bit weights bring it down to {units.gib(qlora.least_bytes)}."
    if not case.roomy("lora"):
        least, other = f"{units.gib(lora.least_bytes)} of {units.gib(case.room)}", units.gib(qlora.least_bytes)
        return f"At its leanest LoRA takes {least}, QLoRA {other}: what is left buys speed and longer rows."
    return f"LoRA fits, but your budget pays for less than {case.thresholds['healthy_budget']:g} such runs."


def _nothing(case: Case) -> str:
    if all(seen.fit == "no" for seen in case.outlooks.values()):
        least = min(case.outlooks.values(), key=lambda seen: seen.least_bytes)
        return f"Nothing fits: even {title(least.method)} needs {_of_room(case, least)}."
    fitting = [m for m, seen in case.outlooks.items() if seen.fit != "no"]
    if all(case.lacking(m) for m in fitting):
        return case.lacking(min(fitting, key=lambda m: case.outlooks[m].host.disk_bytes))[0]
    if any(case.over_budget(m) for m in fitting):
        cheapest = min((x.cost_usd.point for x in case.outlooks.values() if x.cost_usd and x.fit != "no"), default=0.0)
        return (
            f"Your budget of {units.usd(case.answers.budget_usd or 0)} carries none of them: the cheapest costs about "
            f"{units.usd(cheapest)}. Fewer epochs or less data make it cheaper."
        )
    fastest = min(x.hours.point for x in case.outlooks.values() if x.fit != "no")
    return (
        f"Nothing ends within your {case.answers.deadline_hours:g} h: the fastest takes about "
        f"{units.duration(fastest * 3600)}. Fewer epochs, less data or a faster GPU help."
    )


def _ways_out(case: Case, wanted: Method | None) -> tuple[str, ...]:
    """Where nothing fits: what would make the method that the user set fit, or the one that needs least."""
    looked_at = [case.outlooks[wanted]] if wanted else list(case.outlooks.values())
    if any(seen.fit != "no" for seen in looked_at):
        return ()
    leanest = min(looked_at, key=lambda seen: seen.least_bytes)
    return leanest.mends or ("No GPU with a dated price holds it, not even eight together: take a smaller model.",)


def _support(case: Case, method: Method) -> Iterator[str]:
    """Further sentences for the recommended method."""
    chosen, data = case.outlooks[method], case.data
    if method != "full":
        ratio = chosen.trainable_parameters / max(1, data.scored_tokens)
        held = f"an adapter of rank {chosen.plan.rank} has {units.count(chosen.trainable_parameters)} parameters"
        enough = "room enough for them" if ratio >= 1 else "fewer than tokens, so it will learn less of each"
        yield f"{data.rows:,} rows, {units.count(data.scored_tokens)} scored tokens; {held}, {enough}."
    runs = case.runs_paid(method)
    if runs is not None:
        yield f"Your budget of {units.usd(case.answers.budget_usd or 0)} pays for {_times(runs)}."
    if case.answers.stakes == "high":
        yield "High stakes: compare its general ability before and after; an adapter can be taken off again."
    small = constants.methods()["qlora"]["small_parameters"]
    if method == "qlora" and case.model.shape.parameters < small:
        yield f"Below {units.count(small)} parameters 4-bit weights cost up to two points; take LoRA where you can."
    if case.answers.shift == "deep" and method != "full":
        yield "A deep change asks most of an adapter: watch the held-out loss, and raise the rank where it stalls."


def _times(runs: float) -> str:
    if runs < 2:
        return "one such run"
    return f"{runs:,.0f} such runs" if runs < 1000 else "more than 1,000 such runs"


def _obstacles(case: Case, method: Method) -> Iterator[str]:
    """What stands against a method: memory, money, time."""
    seen = case.outlooks[method]
    if seen.fit == "no":
        yield f"{title(method)} needs {_of_room(case, seen)}."
    if case.over_budget(method) and seen.cost_usd:
        budget = units.usd(case.answers.budget_usd or 0)
        yield f"It costs about {units.usd(seen.cost_usd.point)}, your budget is {budget}."
    if case.too_late(method):
        took = units.duration(seen.hours.point * 3600)
        yield f"It takes about {took}, your deadline is {case.answers.deadline_hours:g} h."
    if seen.fit != "no":
        yield from case.lacking(method)


def _why_not(case: Case, method: Method, chosen: Method) -> Iterator[str]:
    yield from _obstacles(case, method)
    yield from case.outlooks[method].mends
    if method == "full":
        yield from _why_not_full(case, chosen)
    elif method == "lora" and chosen == "qlora" and case.outlooks["lora"].fit != "no":
        yield f"16-bit weights leave {_left(case, 'lora')} at the leanest; 4-bit ones leave {_left(case, 'qlora')}."
    elif method == "qlora" and chosen == "lora":
        saved = case.outlooks["lora"].least_bytes - case.outlooks["qlora"].least_bytes
        if saved > 0:
            spared = units.memory(saved)
            yield f"4-bit weights would save {spared} that you do not need, for some quality and a slower step."
        else:
            yield "4-bit weights save nothing at this size, and cost some quality and a slower step."
    elif chosen == "full":
        yield "An adapter learns less from data of this size; take it where forgetting matters more."


def _why_not_full(case: Case, chosen: Method) -> Iterator[str]:
    if case.answers.variants > 1:
        whole = units.disk(case.outlooks["full"].checkpoint_bytes)
        each = units.disk(case.outlooks[chosen].checkpoint_bytes)
        yield f"Each of your {case.answers.variants} variants would be a model of {whole}; an adapter has {each}."
    if case.answers.shift != "deep":
        yield f"A change of {case.answers.shift} is within an adapter's reach, with less to forget."
    elif case.data.rows < case.thresholds["deep_rows"]:
        yield f"Full pays off from {case.thresholds['deep_rows']:,.0f} clean rows; you have {case.data.rows:,}."
    elif not case.clean:
        yield f"{case.data.duplicate_rows:,} of {case.data.rows:,} rows are duplicates: clean the data first."


def _notes(case: Case) -> Iterator[str]:
    few = case.thresholds["few_rows"]
    if 0 < case.data.rows < few:
        yield f"Under {few:g} rows a good prompt or retrieval usually does better than fine-tuning."
    if all(math.isnan(seen.hours.point) for seen in case.outlooks.values()):
        yield f"The speed of {case.device.name} is not known: no time or cost is foreseen."
    elif all(seen.cost_usd is None for seen in case.outlooks.values()):
        yield f"No dated price of {_named(case.device)} is known; give yours with --price (0 for a box that you own)."
    if case.device.count > 1:
        yield f"Planned for {case.device.label}; this version trains on one device."


def _of_room(case: Case, seen: Outlook) -> str:
    return f"{units.gib(seen.least_bytes)} of the {units.gib(case.room)} that {_named(case.device)} has"


def _left(case: Case, method: Method) -> str:
    return units.memory(max(0, case.room - case.outlooks[method].least_bytes))


def _named(device: Device) -> str:
    return (
        "this CPU" if device.kind == "cpu" else f"an {device.name}" if device.name[0] in "AHLR" else f"a {device.name}"
    )
