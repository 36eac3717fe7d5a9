"""Settings that the user set but the plan does not use: a sentence for each, so that none is silently ignored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from backend.answers import Answers
from backend.data.report import DataReport
from backend.model.shape import HEAD
from backend.plan import counts, fields
from backend.plan.plan import ADAPTER_ONLY, Plan
from backend.planner import cost, rules
from backend.planner.device import Device
from backend.planner.estimates import MethodEstimate

_OF_ADAPTERS = (*ADAPTER_ONLY, "rank", "alpha", "dropout", "target_modules", "adapter_dtype")


class _Asked(NamedTuple):
    """A value that the user set, and the plan that was made with it."""

    value: Any
    plan: Plan
    device: Device
    train: int
    """Rows that are trained on, without general ones."""
    held_out: int
    is_free: bool
    """An hour of the device costs nothing."""


def sentences(answers: Answers, seen: MethodEstimate, device: Device, data: DataReport) -> Iterator[str]:
    """Which settings of `--set` change nothing in the plan of this method, and why."""
    rate = cost.price(answers, device)
    train, held_out = data.split(seen.plan.max_length, seen.plan.eval_fraction)
    for key, value in fields.parse_settings(answers.set).items():
        asked = _Asked(value, seen.plan, device, train, held_out, rate is not None and not rate.typical)
        if why := _why(key, asked):
            yield f"{key}={fields.text(value)} changes nothing: {why}."


def _why(key: str, asked: _Asked) -> str:
    if key == "quantization":
        return _quantization(asked)
    if not asked.value or asked.value == "float32":
        return ""
    if asked.plan.method == "full" and key in _OF_ADAPTERS:
        return "full fine-tuning trains the weights themselves, without an adapter"
    return _WHY[key](asked) if key in _WHY else ""


def _quantization(asked: _Asked) -> str:
    plan = asked.plan
    kept = "4 bits" if plan.method == "qlora" else plan.precision
    return f"{rules.title(plan.method)} keeps the base in {kept}" if asked.value != plan.quantization else ""


def _narrow(asked: _Asked) -> str:
    precision = asked.plan.precision
    return "" if precision == "bfloat16" else f"16-bit weights train in precision bfloat16 only, and it is {precision}"


def _weights_dtype(asked: _Asked) -> str:
    plan = asked.plan
    return _narrow(asked) if plan.method == "full" else "it is for full fine-tuning; adapters have adapter_dtype"


def _in_backward(asked: _Asked) -> str:
    if asked.plan.method != "full":
        return "it is for full fine-tuning; the gradients of adapters are small anyway"
    return "float16 needs all gradients at once for its loss scale" if asked.plan.precision == "float16" else ""


def _chunked(asked: _Asked) -> str:
    adapted = asked.plan.method != "full" and HEAD in asked.plan.target_modules.split(",")
    return "the head carries an adapter, and its logits are held whole" if adapted else ""


def _packing(asked: _Asked) -> str:
    objective = asked.plan.objective
    return "" if objective == "sft" else f"{objective} compares whole answers, each a sequence of its own"


def _general_data(asked: _Asked) -> str:
    used = asked.plan.measure_forgetting or asked.plan.replay_fraction
    return "" if used else "forgetting is not measured, and no general text is mixed in"


def _kernels(asked: _Asked) -> str:
    measured = asked.device.kind == "cuda" and asked.plan.processes == 1 and asked.plan.objective == "sft"
    return "" if measured else "kernels are timed by supervised runs on a single GPU"


def _keep(asked: _Asked) -> str:
    needs = asked.value == "best" and asked.train and not asked.held_out
    return "no row is held out to tell which weights are the best, and the last ones are saved" if needs else ""


def _eval_fraction(asked: _Asked) -> str:
    return f"it makes less than one of {asked.train:,} rows" if asked.train and not asked.held_out else ""


def _replay(asked: _Asked) -> str:
    mixed = counts.replay_rows(asked.train, asked.plan)
    return f"beside {asked.train:,} rows it makes less than one" if asked.train and not mixed else ""


def _max_steps(asked: _Asked) -> str:
    plan, rows = asked.plan, asked.train + counts.replay_rows(asked.train, asked.plan)
    steps = counts.total_steps(rows, replace(plan, max_steps=0)) if rows else asked.value
    ends = f"the run ends after {plan.epochs:g} epochs, {steps:,} steps; set epochs too"
    return ends if asked.value > steps else ""


def _micro_batch(asked: _Asked) -> str:
    rows = math.ceil(asked.plan.effective_batch / asked.plan.processes)
    return f"a step has {rows:,} rows on a device" if asked.value > rows else ""


_WHY: Mapping[str, Callable[[_Asked], str]] = {
    "weights_dtype": _weights_dtype,
    "adapter_dtype": _narrow,
    "optimizer_in_backward": _in_backward,
    "chunked_loss": _chunked,
    "packing": _packing,
    "general_data": _general_data,
    "measure_kernels": _kernels,
    "keep": _keep,
    "eval_fraction": _eval_fraction,
    "replay_fraction": _replay,
    "max_steps": _max_steps,
    "micro_batch": _micro_batch,
    "activation_offload": lambda asked: "a CPU has no other memory for them" if asked.device.kind == "cpu" else "",
    "early_stopping_min_delta": lambda asked: (
        "" if asked.plan.early_stopping_patience else "no patience is set with it"
    ),
    "task_rows": lambda asked: "" if asked.plan.task else "no task is set with it",
    "task_tokens": lambda asked: "" if asked.plan.task else "no task is set with it",
    "preference_beta": lambda asked: "it is for dpo and kto" if asked.plan.objective == "sft" else "",
    "budget_stop": lambda asked: "the run costs nothing" if asked.is_free else "",
}
"""Plan field -> why a value of it changes nothing; empty if it does."""
