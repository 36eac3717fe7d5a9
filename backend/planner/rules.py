"""Hyperparameters that the user left open: chosen by the rules of presets/methods.toml, each with its origin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend import constants, units
from backend.answers import Answers, Method
from backend.data import scoring
from backend.data.report import DataReport
from backend.errors import UserError
from backend.model.info import ModelInfo
from backend.plan import counts, fields, prompts
from backend.plan.plan import ADAPTER_ONLY, FULL_ONLY, Plan
from backend.plan.preset import Preset
from backend.planner import cost, limits, several, start
from backend.planner.device import Device


@dataclass(frozen=True)
class Pinned:
    """Plan fields that the user or a preset set: the planner keeps them and plans around."""

    values: Mapping[str, Any]
    origin: Mapping[str, str]


def pin(answers: Answers, preset: Preset | None = None) -> Pinned:
    """The preset's plan fields, then those of `--set` and of the options that are plan fields themselves.

    Raises UserError for an unknown field, a value that it does not take, or an option and a --set that differ.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    own: dict[str, Any] = fields.parse_settings(answers.set)
    for key in ("max_length", "epochs", "effective_batch", "seed"):
        if getattr(answers, key) is not None:
            fields.set_once(own, key, fields.parse(key, getattr(answers, key)))
    sources = [(preset.plan, f"preset {preset.name}")] if preset else []
    for source, name in (*sources, (own, "you")):
        for key, value in source.items():
            values[key] = fields.parse(key, value)
            origin[key] = name
    return Pinned(values, origin)


def settle(
    method: Method, answers: Answers, device: Device, model: ModelInfo, data: DataReport, pinned: Pinned
) -> tuple[Plan, dict[str, str]]:
    """The plan of `method` before memory is considered, and the origin of each field that a rule or the user set."""
    values: dict[str, Any] = {"method": method, "quantization": "nf4" if method == "qlora" else "none"}
    origin: dict[str, str] = {"method": "the method", "quantization": "the method"}
    limits.refuse(model, device, pinned.values)
    for rule in (_common, _lengths, _batch, _duration, _learning_rate, _adapter, _preference, _precision):
        for key, (value, why) in rule(method, device, model, data, {**values, **pinned.values}).items():
            values[key], origin[key] = value, why
    for key, (value, why) in _forgetting(answers, pinned.values).items():
        values[key], origin[key] = value, why
    for key, value in pinned.values.items():
        if key not in ("method", "quantization") and key not in (ADAPTER_ONLY if method == "full" else FULL_ONLY):
            values[key], origin[key] = value, pinned.origin[key]
    for key, (value, why) in start.settled(method, model, _asked(pinned)).items():
        values[key], origin[key] = value, why
    refuse_contradictions(method, pinned.values)
    _refuse_no_budget(answers, device, pinned.values)
    several.refuse(method, device, pinned.values, values["effective_batch"])
    for key, (value, why) in _attention(model, device, values).items():
        values[key], origin[key] = value, why
    for key, (value, why) in several.processes(method, device, {**values, **pinned.values}).items():
        values[key], origin[key] = value, why
    if (objective := values.get("objective", "sft")) != "sft":
        values["packing"], origin["packing"] = False, f"{objective} compares whole answers"
    return Plan(**values), origin


def _asked(pinned: Pinned) -> dict[str, Any]:
    """What the user set, and the objective even if a preset set it; a preset's rank yields to that of an adapter."""
    return {key: x for key, x in pinned.values.items() if pinned.origin[key] == "you" or key == "objective"}


Settled = dict[str, tuple[Any, str]]
Known = Mapping[str, Any]


def _common(method: Method, device: Device, model: ModelInfo, data: DataReport, known: Known) -> Settled:
    table, own = constants.methods().common, constants.methods().of(method)
    by_method = f"{own.title} default"
    return {
        "schedule": (table.schedule, "default"),
        "eval_fraction": (table.eval_fraction, "default"),
        "keep_checkpoints": (table.keep_checkpoints, "default"),
        "max_grad_norm": (own.max_grad_norm, by_method),
        "weight_decay": (own.weight_decay, by_method),
    }


def _forgetting(answers: Answers, known: Known) -> Settled:
    """Forgetting is measured if losing general ability is costly, or if a setting of the user needs it."""
    if known.get("max_forgetting") or known.get("general_data"):
        return {"measure_forgetting": (True, "what you set needs it")}
    return {"measure_forgetting": (True, "high stakes")} if answers.stakes == "high" else {}


def _refuse_no_budget(answers: Answers, device: Device, known: Known) -> None:
    if not known.get("budget_stop"):
        return
    if answers.budget_usd is None:
        raise UserError("budget_stop: there is no budget to stop at; say --budget USD", "budget_stop")
    if cost.price(answers, device) is None:
        raise UserError("budget_stop: no price is known of this device; say --price USD_PER_GPU_HOUR", "budget_stop")


def max_length(model: ModelInfo, data: DataReport) -> int:
    """The default of `max_length`: the length, within the context, at which few rows are cut."""
    table = constants.methods().common
    top = min(table.length_maximum, model.shape.context or table.length_maximum)
    return int(min(max(table.length_minimum, 2 ** math.ceil(math.log2(_longest(data)))), top))


def _longest(data: DataReport) -> int:
    """Tokens of the longest row that is kept whole."""
    return max(data.percentile(constants.methods().common.length_percentile), 1)


def _lengths(method: Method, device: Device, model: ModelInfo, data: DataReport, known: Known) -> Settled:
    share = constants.methods().common.length_percentile
    return {"max_length": (max_length(model, data), f"{share} % of the rows have at most {_longest(data):,} tokens")}


def _batch(method: Method, device: Device, model: ModelInfo, data: DataReport, known: Known) -> Settled:
    if _is_demo(device, model, data):
        return {"effective_batch": (constants.methods().demo.effective_batch, "demo: a few minutes")}
    return {"effective_batch": (constants.methods().of(method).effective_batch, f"{title(method)} default")}


def _duration(method: Method, device: Device, model: ModelInfo, data: DataReport, known: Known) -> Settled:
    table = constants.methods().common
    entry, objective = next(x for x in table.epochs if data.rows < x.below_rows), known.get("objective", "sft")
    epochs, why = float(max(1, entry.epochs - (method == "full"))), units.counted(data.rows, "row")
    if objective != "sft":  # preference training has its own number of epochs
        epochs, why = float(constants.methods().preference.epochs), f"{objective} default"
    settled: Settled = {"epochs": (epochs, why)}
    limit = known.get("max_steps", 0)
    if _is_demo(device, model, data):
        demo = constants.methods().demo
        limit = known.get("max_steps", demo.max_steps)
        settled["max_steps"] = (limit, "demo: a few minutes")
        settled["eval_every"] = (demo.eval_every, "demo: a few minutes")
    planned = Plan(**{**known, "epochs": known.get("epochs", epochs), "max_steps": limit})
    settled["warmup_fraction"] = _warmup(steps(planned, data))
    return settled


def _warmup(total: int) -> tuple[float, str]:
    """Share of steps for warm-up: larger for a short run, with a minimum and a maximum number of steps."""
    table = constants.methods().common
    short = total < table.short_steps
    fraction = table.warmup_fraction_short if short else table.warmup_fraction
    least, most = table.warmup_steps
    if fraction * total > most:
        return round(most / total, 5), f"{most} steps are enough"
    if fraction * total < least <= total * table.warmup_most:
        return round(least / total, 5), f"at least {least} steps"
    return fraction, f"{'under' if short else 'at least'} {table.short_steps} steps"


def _learning_rate(method: Method, device: Device, model: ModelInfo, data: DataReport, known: Known) -> Settled:
    own = constants.methods().of(method)
    large = model.shape.parameters > own.large_parameters
    if large or (method == "full" and model.shape.instruct):
        why = f"{units.count(model.shape.parameters)} parameters" if large else "an instruct model"
        return {"learning_rate": (own.learning_rate_large, why)}
    return {"learning_rate": (own.learning_rate, f"{own.title} default")}


def _adapter(method: Method, device: Device, model: ModelInfo, data: DataReport, known: Known) -> Settled:
    if method == "full":
        return {}
    own = constants.methods().adapter(method)
    targets = str(known.get("target_modules", "all-linear"))
    scored = data.scored_tokens
    enough = (x for x in own.rank_steps if model.shape.lora_parameters(x, targets) >= scored)
    rank = next(enough, own.rank_steps[-1])
    why = f"{own.title} default" if rank == own.rank else f"{units.count(scored)} target tokens"
    return {
        "rank": (rank, why),
        "alpha": (own.alpha, f"{own.title} default"),
        "dropout": (own.dropout, f"{own.title} default"),
    }


def _preference(method: Method, device: Device, model: ModelInfo, data: DataReport, known: Known) -> Settled:
    """Preferences are learned at a lower rate, by the difference of whole answers."""
    objective = known.get("objective", "sft")
    if objective == "sft":
        return {}
    table = constants.methods().preference
    rate = table.dpo_learning_rate if objective == "dpo" else table.kto_learning_rate
    return {
        "learning_rate": (rate, f"{objective} default"),
        "preference_beta": (table.beta, f"{objective} default"),
        "packing": (False, f"{objective} compares whole answers"),
    }


def _precision(method: Method, device: Device, model: ModelInfo, data: DataReport, known: Known) -> Settled:
    if device.bf16:
        return {"precision": ("bfloat16", "the device does it well")}
    if device.kind == "cpu":
        return {"precision": ("float32", "this CPU has no fast bfloat16")}
    if model.shape.family in constants.methods().common.float16_overflows:
        return {"precision": ("float32", "the GPU has no bfloat16, and this family overflows in float16")}
    return {"precision": ("float16", "the GPU has no bfloat16")}


def _attention(model: ModelInfo, device: Device, known: Known) -> Settled:
    """`varlen` if the device supports it; or what the trainer falls back to if the family lacks what the user set."""
    has, wanted = model.shape.attention, str(known.get("attention", Plan.attention))
    if has and wanted.replace("varlen", "sdpa") not in has:
        return {"attention": (has[0], f"{model.shape.family} has no {wanted} in transformers")}
    rows = "attention" not in known and known.get("packing", Plan.packing)
    if rows and limits.no_varlen(model, device, str(known["precision"])) is None:
        return {"attention": ("varlen", "packed rows are computed one by one, without a mask")}
    return {}


def title(method: Method) -> str:
    """LoRA, QLoRA or Full."""
    return constants.methods().of(method).title


def steps(plan: Plan, data: DataReport) -> int:
    """Optimizer steps of the run."""
    train, _ = data.split(plan.max_length, plan.eval_fraction)
    return counts.total_steps(max(1, train + counts.replay_rows(train, plan)), plan)


def _is_demo(device: Device, model: ModelInfo, data: DataReport) -> bool:
    return device.kind == "cpu" and model.kind == "demo" and data.reference == "demo"


def refuse_unevaluated(pinned: Mapping[str, Any], plan: Plan, data: DataReport) -> None:
    """Raise UserError if the user set something that needs held-out rows, and no rows are held out."""
    if not data.rows or data.split(plan.max_length, plan.eval_fraction)[1]:
        return
    rows = data.cut(plan.max_length).rows
    fix = f"set eval_fraction to {max(0.05, 1 / rows):.2g}" if rows > 1 else "it takes two rows or more"
    why = "eval_fraction is 0" if not plan.eval_fraction else f"there are {units.counted(rows, 'row')}"
    for key, what in (("task", "whose answer could be scored"), ("early_stopping_patience", "to tell by when to stop")):
        if pinned.get(key):
            raise UserError(f"{key}: no row is held out {what}, since {why}; {fix}, or leave {key} out", key)


def refuse_contradictions(method: Method, pinned: Mapping[str, Any]) -> None:
    """Refuse what is not implemented, and settings that contradict the method if the user asked for that method."""
    if pinned.get("replay_fraction") and pinned.get("objective", "sft") != "sft":
        raise UserError(
            "replay_fraction: general text has no preferences; leave it at 0, dpo and kto stay near the base anyway",
            "replay_fraction",
        )
    prompts.refuse(pinned.get("sample_prompts", ""))
    if pinned.get("task"):
        scoring.check(str(pinned["task"]))
        if pinned.get("objective", "sft") != "sft":
            raise UserError("task: preference data has no right answers to compare with; leave it out", "task")
    if pinned.get("activation_offload") and pinned.get("checkpointing") is False:
        raise UserError(
            "activation_offload: it moves what checkpointing keeps, and checkpointing is false; leave one of them out",
            "activation_offload",
        )
    if pinned.get("objective") == "kto" and pinned.get("effective_batch") == 1:
        raise UserError(
            "effective_batch: kto compares each answer with those of other rows of its step, and 1 has no other; set "
            "2 or more",
            "effective_batch",
        )
    if (rise := pinned.get("max_forgetting", 0)) > 1:
        raise UserError(
            f"max_forgetting: {rise:g} is a rise of {100 * rise:g} %; it is a fraction: {rise / 100:g} for {rise:g} %",
            "max_forgetting",
        )
    if pinned.get("max_forgetting") and pinned.get("measure_forgetting") is False:
        raise UserError(
            "max_forgetting: it can't be compared with anything if measure_forgetting is false; leave one of them out",
            "max_forgetting",
        )
    objective = pinned.get("objective", "sft")
    if pinned.get("method") != method:
        return
    if objective != "sft" and method == "full":
        raise UserError(
            f"objective: {objective} compares with the base model, which full fine-tuning changes; take lora or qlora",
            "objective",
        )
    wanted = pinned.get("quantization")
    right = "nf4" if method == "qlora" else "none"
    if wanted not in (None, right):
        raise UserError(
            f"quantization: {wanted} does not go with {method}; leave it out or set {right}", "quantization"
        )
    if pinned.get("optimizer_in_backward") and method != "full":
        raise UserError(
            "optimizer_in_backward: true is for full fine-tuning only; adapters' gradients are small anyway",
            "optimizer_in_backward",
        )
    unmeant = next((key for key in ADAPTER_ONLY if method == "full" and pinned.get(key)), None)
    if unmeant is not None:
        raise UserError(
            f"{unmeant}: {fields.text(pinned[unmeant])} is for LoRA and QLoRA; full trains every weight as it is: "
            f"leave {unmeant} out",
            unmeant,
        )
