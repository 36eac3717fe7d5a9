"""What a run starts from besides the model: an adapter, which is trained further or merged first, and new tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend import paths
from backend.answers import Answers, Method
from backend.data import added_tokens
from backend.errors import UserError
from backend.model import adapter, adapter_fit
from backend.model.adapter import Adapter
from backend.model.info import ModelInfo
from backend.model.shape import HEAD, ModelShape
from backend.model.whole_modules import has_vocabulary
from backend.plan import fields
from backend.plan.plan import Plan
from backend.planner.estimates import MethodEstimate
from backend.planner.memory.elements import trainable

ORIGIN = "the adapter"


def of(answers: Answers, model: ModelInfo) -> ModelInfo:
    """The model with the adapter and the new tokens of the answers.

    Raises UserError (field `adapter` or `add_tokens`) if they can't be read, or don't fit the model.
    """
    if answers.adapter:
        found = adapter.read(_folder(answers.adapter))
        adapter_fit.refuse_other_model(found, model)
        model = replace(model, adapter=found)
    return added_tokens.extended(model, added_tokens.read(answers.add_tokens)) if answers.add_tokens else model


def refuse_unreadable(said_adapter: str | None, said_tokens: str | None) -> None:
    """Raise UserError if the adapter or the new tokens can't be read, whatever the model is."""
    if said_adapter:
        adapter.read(_folder(said_adapter))
    if said_tokens:
        added_tokens.read(said_tokens)


def _folder(said: str) -> Path:
    """The folder of the adapter that a run's name, a run's folder or a folder means."""
    path = paths.existing(said, "adapter")
    if path is not None and not (path / "plan.toml").is_file():
        return path.resolve()
    from backend.run.folder import RunFolder

    try:
        run = RunFolder.find(said)
    except UserError as error:
        raise UserError(f"adapter: {error}", "adapter") from None
    if (run.result / "config.json").is_file():
        raise UserError(f"adapter: run {run.name} made a whole model; give it with --model {run.result}", "adapter")
    if not run.result.is_dir():
        fix = f"`fttui resume {run.name}` goes on with it"
        raise UserError(f"adapter: run {run.name} has no result yet; {fix}", "adapter")
    return run.result


def settled(method: Method, model: ModelInfo, pinned: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """The plan fields that an adapter brings if it is trained further; none if it is merged first.

    Raises UserError for a field that is set to another value; only another rank begins a new adapter instead.
    """
    found = model.adapter
    if found is None or method == "full" or _why_merged(found, model.shape, pinned):
        return {}
    for key, value in found.settings().items():
        if key in pinned and not _alike(key, pinned[key], value):
            said = fields.text(pinned[key]) or "nothing"
            raise UserError(
                f"{key}: {said}, but the adapter that is trained further has {fields.text(value) or 'nothing'}; leave "
                f"{key} out, or set another rank, which merges the adapter first and begins a new one",
                key,
            )
    return {key: (value, ORIGIN) for key, value in found.settings().items()}


def _alike(key: str, one: Any, other: Any) -> bool:
    if key in ("target_modules", "modules_to_save"):
        return set(one.split(",")) == set(other.split(","))
    return bool(one == other)


def is_merged(model: ModelInfo, plan: Plan) -> bool:
    """Whether the model's adapter is merged into it before `plan` trains."""
    return model.adapter is not None and (
        plan.method == "full" or bool(_why_merged(model.adapter, model.shape, _asked(plan)))
    )


def _asked(plan: Plan) -> dict[str, Any]:
    return {"rank": plan.rank, "objective": plan.objective}


def _why_merged(found: Adapter, shape: ModelShape, pinned: Mapping[str, Any]) -> str:
    """Why adapter methods can't train it further, in half a sentence; empty if they can."""
    if shape.added_tokens and (HEAD in found.target_modules or has_vocabulary(found.modules_to_save)):
        return "new tokens make its embedding or its head larger"
    same = Plan(method="lora", **found.settings()) if found.is_usual else None
    if same is None or trainable(replace(shape, added_tokens=0), same) != found.parameters() - _twice(found, shape):
        return "it is on a part of the layers that no plan can name"
    if pinned.get("objective", "sft") != "sft":
        return f"{pinned['objective']} compares with the model before training, to which the adapter belongs"
    rank = pinned.get("rank", found.rank)
    return "" if rank == found.rank else f"rank {rank} was asked for, and it has {found.rank}"


def _twice(found: Adapter, shape: ModelShape) -> int:
    """Elements that a file holds a second time: peft writes an embedding that the head shares under both names."""
    wide = (shape.vocab, shape.hidden)
    return shape.tied * max(0, sum(sizes == wide for sizes in found.shapes.values()) - 1) * shape.vocab * shape.hidden


def sentences(model: ModelInfo, estimates: Mapping[Method, MethodEstimate]) -> Iterator[str]:
    """For the plan: what becomes of the adapter and of the new tokens."""
    if model.adapter is not None:
        yield from _of_adapter(model, model.adapter, estimates)
    if model.added_tokens:
        count = len(model.added_tokens)
        tokens = "1 token is" if count == 1 else f"{count:,} tokens are"
        yield (
            f"{tokens} added, the embedding has {model.shape.vocab:,} rows then; they begin as the mean of the others. "
            "LoRA and QLoRA train the new rows only, full trains all."
        )


def _of_adapter(model: ModelInfo, found: Adapter, estimates: Mapping[Method, MethodEstimate]) -> Iterator[str]:
    if said := adapter_fit.unsure(found, model):
        yield said
    merged = [method for method, seen in estimates.items() if is_merged(model, seen.plan)]
    names = {"lora": "LoRA", "qlora": "QLoRA", "full": "Full"}
    further = " and ".join(names[method] for method in estimates if method not in merged)
    if further:
        yield f"{further} train the adapter {found.folder} further: rank {found.rank}, alpha {found.alpha:g}."
    for method in merged:
        asked = _asked(estimates[method].plan)
        why = "it trains the model's own weights" if method == "full" else _why_merged(found, model.shape, asked)
        yield f"{names[method]} begins with the adapter merged into the model: {why}."
