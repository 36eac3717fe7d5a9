"""The inputs of a comparison, found from the answers: the device, the model, the data."""

from __future__ import annotations

from backend.answers import Answers
from backend.data import general, inspect
from backend.data.report import DataReport
from backend.data.tokenizing import WHOLE, Tokenizing, chosen
from backend.errors import UserError, wont_do
from backend.hardware import Hardware, detect
from backend.model import find
from backend.model.info import ModelInfo
from backend.plan.preset import Preset
from backend.planner import devices, nodes, rules, start
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.planner.estimates import Comparison


def predict(answers: Answers, preset: Preset | None = None) -> Comparison:
    """Find everything and compare. Raises UserError for what can't be found or used."""
    check(answers)
    model = start.of(answers, find.find(answers.model))
    kept = rules.pin(answers, preset).values
    if kept.get("general_data"):
        general.refuse_unreadable(kept["general_data"])
    rows = data(answers, model, chosen(kept), kept.get("objective", "sft"))
    comparison = compare(answers, device(answers), model, rows, preset)
    _refuse_nothing_left(comparison)
    return comparison


def _refuse_nothing_left(comparison: Comparison) -> None:
    """Raise UserError if `max_length` leaves no answer in any row: there is nothing to plan."""
    data, length = comparison.data, next(iter(comparison.methods.values())).plan.max_length
    if data.rows and not data.cut(length).rows:
        first = int(data.row_prompt_tokens.min()) + 1
        what = f"no answer of {data.reference} begins within max_length {length:,}: the first begins at token {first:,}"
        raise UserError(f"{what}; raise max_length, or shorten the prompts", "max_length")


def device(answers: Answers, hardware: Hardware | None = None) -> Device:
    """The device that `answers.gpu` names, or this box's."""
    found = devices.named(answers.gpu) if answers.gpu else devices.here(hardware or detect())
    return nodes.spread(found, answers)


def data(answers: Answers, model: ModelInfo, how: Tokenizing = WHOLE, objective: str = "sft") -> DataReport:
    """The data as inspected with the model's tokenizer, or assumed from its size; `how`, `objective`: the run's."""
    if answers.data:
        seed, given = answers.seed or 0, answers.mapping
        return inspect.inspect(answers.data, mapping=given, model=model, seed=seed, how=how, objective=objective)
    if answers.rows is None or answers.row_tokens is None:
        raise UserError("give the data with --data, or --rows N --row-tokens T if there is none yet", "data")
    return inspect.assumed(answers.rows, answers.row_tokens)


def check(answers: Answers) -> None:
    """Check the limits of the numbers. Raises UserError that names the field, the value and the fix."""
    if not answers.model:
        raise UserError("give the model with --model: a folder, a hub id, a size such as 8b, or demo", "model")
    for field, name, unit in (
        ("budget_usd", "budget", "USD"),
        ("price_usd_per_hour", "price", "USD an hour, 0 for a box that you own"),
        ("kwh_price_usd", "price of a kWh", "USD a kilowatt-hour"),
    ):
        value = getattr(answers, field)
        if value is not None and not 0 <= value < float("inf"):
            raise wont_do(name, value, f"a number of at least 0 ({unit})", field)
    if answers.deadline_hours is not None and not 0 < answers.deadline_hours < float("inf"):
        raise wont_do("deadline", answers.deadline_hours, "a number above 0 (hours)", "deadline_hours")
    if answers.node_gbps is not None and not 0 < answers.node_gbps < float("inf"):
        raise wont_do("node-gbps", answers.node_gbps, "a number above 0 (Gbit/s)", "node_gbps")
    for field, name in (("nodes", "nodes"), ("rows", "rows"), ("row_tokens", "row tokens"), ("variants", "variants")):
        value = getattr(answers, field)
        if value is not None and value < 1:
            raise wont_do(name, value, "a whole number of at least 1", field)
    _refuse_two_data(answers)


def _refuse_two_data(answers: Answers) -> None:
    """Raise UserError if sizes are given together with data: sizes describe data that does not exist yet."""
    sizes = [name for name, value in (("--rows", answers.rows), ("--row-tokens", answers.row_tokens)) if value]
    if answers.data and sizes:
        said = f"{' and '.join(sizes)} can't be given together with --data {answers.data}"
        raise UserError(f"{said}; sizes are for data that is not there yet: leave out one or the other", "data")
