"""The reasons of the choice, a sentence each: with the user's own numbers, and the evidence beside the guidance."""

from __future__ import annotations

import math
from collections.abc import Iterator

from backend import constants, units
from backend.answers import Method
from backend.planner import guidance
from backend.planner.case import Case
from backend.planner.device import Device
from backend.planner.estimates import MethodEstimate
from backend.planner.gpu_time import gpu_class
from backend.planner.rules import title


def stakes(case: Case) -> str:
    """Why 16-bit weights, if a wrong answer is costly."""
    kept = "High stakes: LoRA trains on the 16-bit weights that you will serve, and merges into them exactly"
    return f"{kept}; it fits with {_left(case, 'lora')} to spare."


def saves_little(case: Case) -> str:
    """Why not 4-bit weights, if there is little to quantise."""
    lora, qlora = case.estimates["lora"].least_bytes, case.estimates["qlora"].least_bytes
    why = ": its experts are fused and stay in 16 bit" if case.model.shape.experts else ""
    return f"4-bit weights would bring LoRA's {units.gib(lora)} down only to {units.gib(qlora)}{why}."


def four_bit(case: Case) -> str:
    """Why 4-bit: LoRA's obstacle, in numbers."""
    lora, qlora = case.estimates["lora"], case.estimates["qlora"]
    if lora.fit == "no":
        return f"LoRA needs {_of_room(case, lora)}; 4-bit weights bring it down to {units.gib(qlora.least_bytes)}."
    if not case.roomy("lora"):
        least, other = f"{units.gib(lora.least_bytes)} of {units.gib(case.room)}", units.gib(qlora.least_bytes)
        return f"At its leanest LoRA takes {least}, QLoRA {other}: the memory left over buys speed and longer rows."
    return f"LoRA fits, but your budget pays for fewer than {case.thresholds.healthy_budget:g} such runs."


def nothing(case: Case) -> str:
    """Why none of them can be taken."""
    if case.device.obstacles:
        return case.device.obstacles[0]
    if all(seen.fit == "no" for seen in case.estimates.values()):
        least = min(case.estimates.values(), key=lambda seen: seen.least_bytes)
        return f"Nothing fits: even {title(least.method)} needs {_of_room(case, least)}."
    fitting = [m for m, seen in case.estimates.items() if seen.fit != "no"]
    if all(case.lacking(m) for m in fitting):
        return case.lacking(min(fitting, key=lambda m: case.estimates[m].host.disk_bytes))[0]
    if any(case.over_budget(m) for m in fitting):
        cheapest = min((x.cost_usd.point for x in case.estimates.values() if x.cost_usd and x.fit != "no"), default=0.0)
        return (
            f"Your budget of {units.usd(case.answers.budget_usd or 0)} pays for none of them: the cheapest costs about "
            f"{units.usd(cheapest)}. Fewer epochs or less data make it cheaper."
        )
    fastest = min(x.hours.point for x in case.estimates.values() if x.fit != "no")
    return (
        f"Nothing finishes within your {case.answers.deadline_hours:g} h: the fastest takes about "
        f"{units.duration(fastest * 3600)}. Fewer epochs, less data or a faster GPU help."
    )


def ways_out(case: Case, wanted: Method | None) -> tuple[str, ...]:
    """If nothing fits: what would make the method that the user set fit, or the one that needs least."""
    if case.device.obstacles:
        return ()
    looked_at = [case.estimates[wanted]] if wanted else list(case.estimates.values())
    if any(seen.fit != "no" for seen in looked_at):
        return ()
    leanest = min(looked_at, key=lambda seen: seen.least_bytes)
    return leanest.suggestions or (
        "It fits on no GPU with a known price, not even on eight together: take a smaller model.",
    )


def support(case: Case, method: Method) -> Iterator[str]:
    """Further sentences for the recommended method."""
    chosen, data = case.estimates[method], case.data
    if method == "full":
        yield from _support_full(case)
    else:
        held = f"an adapter of rank {chosen.plan.rank} has {units.count(chosen.trainable_parameters)} parameters"
        enough = "enough for them" if case.holds(method) else "fewer than that, so it will learn less of each token"
        yield f"{units.counted(data.rows, 'row')}, {units.count(data.scored_tokens)} target tokens; {held}, {enough}."
    runs = case.runs_paid(method)
    if runs is not None:
        budget, paid = case.answers.budget_usd or 0.0, chosen.cost_usd
        above = paid is not None and paid.high > budget
        worst = f"; at worst it costs {units.usd(paid.high)}" if above and paid else ""
        stops = ", and it stops at the budget" if above and chosen.plan.budget_stop else ""
        yield f"Your budget of {units.usd(budget)} pays for {_times(runs)}{worst}{stops}."
    if method == "qlora":
        yield from _cost_of_four_bit(case)
    if case.answers.stakes == "high":
        yield "Compare its general ability before and after training" + (
            "." if method == "full" else "; an adapter can be taken off again."
        )
    if case.answers.shift == "deep" and method != "full":
        yield "A deep change asks most of an adapter: watch the held-out loss, and raise the rank if it stalls."


def _support_full(case: Case) -> Iterator[str]:
    """Where the evidence is less favourable to full fine-tuning than the guidance, and what keeps general ability."""
    if case.answers.stakes == "high" and not case.estimates["full"].plan.replay_fraction:
        yield "Mixing in general text keeps more of its general ability: --set replay_fraction=0.05."
    tokens, adapter = units.count(case.data.scored_tokens), case.estimates["lora"]
    of = f"rank {adapter.plan.rank} ({units.count(adapter.trainable_parameters)} parameters)"
    if case.holds("lora"):
        alike = f"Published runs see no gap if the adapter is large enough for the data ({_alike(case)})"
        yield f"{alike}; your {tokens} target tokens fit {of}."
    else:
        yield f"Your {tokens} target tokens are more than an adapter of {of} can hold: it would learn less of each."
    seen = case.evidence
    kept = f"full kept {seen.kept_full:g} of general ability against LoRA's {seen.kept_lora:g} in one study"
    less = f"drifted less in another ({seen.drift_full:g} against {seen.drift_lora:g})"
    yield f"Forgetting has to be measured: {kept}, and {less}."


def _alike(case: Case) -> str:
    seen = case.evidence
    return f"on {seen.score_rows:,.0f} rows LoRA scored {seen.lora_score:g} and full {seen.full_score:g}"


def _cost_of_four_bit(case: Case) -> Iterator[str]:
    """When 4-bit weights cost quality, and what they don't quantise."""
    shape, spare = case.model.shape, case.spare("lora")
    small = constants.methods().qlora.small_parameters
    if shape.parameters < small:
        lost = f"up to {case.evidence.points_lost_small:g} points"
        yield f"Below {units.count(small)} parameters 4-bit weights cost {lost}; take LoRA if you can."
    elif case.carried("lora") and spare >= case.evidence.spare:
        lost = f"up to {case.evidence.points_lost:g} point of quality"
        yield f"LoRA would leave {spare:.0%} of the memory free: by the evidence enough to prefer it, for {lost}."
    yield from _experts(case)


def _experts(case: Case) -> Iterator[str]:
    """In a mixture of experts NF4 quantises the attention only."""
    shape = case.model.shape
    if shape.experts:
        packed, whole = units.count(shape.quantizable_parameters), units.count(shape.parameters)
        yield f"Its experts are fused and stay in 16 bit: QLoRA quantises only {packed} of {whole} parameters."


def _times(runs: float) -> str:
    if runs < 2:
        return "one such run"
    return f"{runs:,.0f} such runs" if runs < 1000 else "more than 1,000 such runs"


def obstacles(case: Case, method: Method) -> Iterator[str]:
    """What prevents a method: torch that can't use the GPU, memory, money, time."""
    seen = case.estimates[method]
    if seen.fit == "no":
        yield from case.device.obstacles
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


def against(case: Case, method: Method, chosen: Method) -> Iterator[str]:
    """Why not `method`, if `chosen` is recommended."""
    yield from obstacles(case, method)
    yield from case.estimates[method].suggestions
    if method == "full":
        yield from _why_not_full(case, chosen)
    elif method == "lora" and chosen == "qlora" and case.estimates["lora"].fit != "no":
        yield f"At their leanest LoRA leaves {_left(case, 'lora')} free, QLoRA {_left(case, 'qlora')}."
    elif method == "qlora" and chosen == "lora":
        saved = case.estimates["lora"].least_bytes - case.estimates["qlora"].least_bytes
        price = "some quality and a slower step" if _is_slower(case, "qlora", "lora") else "some quality"
        if saved > 0:
            yield f"4-bit weights would save {units.memory(saved)} that you do not need, at the cost of {price}."
        else:
            yield f"4-bit weights save nothing at this size, and cost {price}."
        yield from _experts(case)
    elif chosen == "full":
        yield _why_no_adapter(case, method)


def _is_slower(case: Case, one: Method, other: Method) -> bool:
    """Whether it is predicted to be slower; an unknown speed is not."""
    return case.estimates[one].tokens_per_second.point < case.estimates[other].tokens_per_second.point


def _why_no_adapter(case: Case, method: Method) -> str:
    tokens, parameters = case.data.scored_tokens, case.estimates[method].trainable_parameters
    has, asked = f"Its {units.count(parameters)} parameters", f"your {units.count(tokens)} target tokens"
    if case.holds(method):
        return f"{has} are enough for {asked}: cheaper to try first, in case the change proves less deep."
    return f"{has} are fewer than {asked}: it would learn less of each."


def _why_not_full(case: Case, chosen: Method) -> Iterator[str]:
    if case.answers.variants > 1:
        whole = units.disk(case.estimates["full"].checkpoint_bytes)
        each = units.disk(case.estimates[chosen].checkpoint_bytes)
        yield f"Each of your {case.answers.variants} variants would be a model of {whole}; an adapter takes {each}."
    seen, many = case.evidence, case.data.rows > case.evidence.many_rows
    if case.answers.shift != "deep":
        yield f"A change of {case.answers.shift} is within an adapter's reach: {_alike(case)}."
        if case.model.shape.parameters <= seen.tiny_parameters and many and case.carried("full"):
            small = units.count(case.model.shape.parameters)
            yield f"At {small} parameters it costs little: by the evidence it is worth a try."
    elif case.data.rows < case.thresholds.deep_rows:
        yield f"Full pays off from {case.thresholds.deep_rows:,.0f} clean rows; you have {case.data.rows:,}."
    elif not case.clean:
        yield f"{case.data.duplicate_rows:,} of {case.data.rows:,} rows are duplicates: clean the data first."


def notes(case: Case, chosen: Method | None) -> Iterator[str]:
    """What was assumed, and what differs from the guidance."""
    yield from few_rows(case.data.rows)
    if all(math.isnan(seen.hours.point) for seen in case.estimates.values()):
        yield f"The speed of {case.device.name} is not known: no time or cost is predicted."
    elif all(seen.cost_usd is None for seen in case.estimates.values()):
        give = "give yours, with --price or at the goal step (0 for a box that you own)"
        yield f"No dated price of {_named(case.device)} is known; {give}."
    elif case.device.kind == "cuda" and case.device.calibration is None and not gpu_class(case.device).seen:
        yield f"No published run covers {_named(case.device)}: its time is taken from other cards, in a wide interval."
    yield from _different_amounts(case)
    yield from _attention_note(case)
    if chosen is not None:
        yield from guidance.notes(case.model, case.device, case.data, case.estimates[chosen])
    full = case.estimates["full"]
    if full.plan.weights_dtype == "bfloat16" and full.origin.get("weights_dtype") != "you" and full.fit != "no":
        yield "Full fits only with bfloat16 weights, updated with stochastic rounding; float32 ones would not fit."
    if case.device.count > 1:
        label = case.device.label
        yield f"No run over several GPUs was measured yet: figures for {label} come from the formulas alone."


def few_rows(rows: int) -> Iterator[str]:
    """A sentence if there are so few rows that fine-tuning is not what usually helps."""
    few = constants.methods().choice.few_rows
    if 0 < rows < few:
        yield f"Under {few:g} rows a good prompt or retrieval usually does better than fine-tuning."


def _different_amounts(case: Case) -> Iterator[str]:
    """If the methods don't train the same amount, their time and cost are not those of equal work."""
    alike: dict[str, list[str]] = {}
    for method, seen in case.estimates.items():
        plan = seen.plan
        ends = plan.max_steps and plan.max_steps == seen.steps
        passes = "" if ends else f"{plan.epochs:g} epoch{'' if plan.epochs == 1 else 's'}, "
        amount = f"{passes}{seen.steps:,} steps of {plan.effective_batch} rows"
        alike.setdefault(amount, []).append(title(method))
    if len(alike) > 1:
        said = "; ".join(f"{' and '.join(names)} {amount}" for amount, names in alike.items())
        yield f"The methods train different amounts, and so differ in time and cost: {said}."


def _attention_note(case: Case) -> Iterator[str]:
    """A family without the usual attention takes more memory and time."""
    has, plan = case.model.shape.attention, case.estimates["lora"].plan
    if has and "sdpa" not in has and plan.attention == "eager":
        yield (
            f"transformers has no sdpa attention for {case.model.shape.family}: eager attention is planned, which "
            "takes more memory and time for long rows; flash_attention_2 works if it is installed."
        )


def _of_room(case: Case, seen: MethodEstimate) -> str:
    return f"{units.gib(seen.least_bytes)} of the {units.gib(case.room)} that {_named(case.device)} has"


def _left(case: Case, method: Method) -> str:
    return units.memory(max(0, case.room - case.estimates[method].least_bytes))


def _named(device: Device) -> str:
    return "this CPU" if device.kind == "cpu" else units.with_article(device.name)
