"""Settings that a model or this box can't follow: refused in the plan, before anything is downloaded or loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend import constants
from backend.errors import UserError
from backend.model import targets, whole_modules
from backend.model.info import ModelInfo
from backend.model.shape import HEAD
from backend.plan.plan import Plan
from backend.planner.device import Device

FLASH_ATTENTION = "flash_attention_2"
"""The value of `attention` that takes a package of its own, `flash_attn`."""
VARLEN_SINCE = (8, 0)
"""The first compute capability that flash kernels run on."""
VARLEN_WIDEST = 256
"""The widest attention head that they take."""


def refuse(model: ModelInfo, device: Device, settings: Mapping[str, Any]) -> None:
    """Raise UserError for the first of the user's plan fields in `settings` that can't be followed."""
    _refuse_slow_tokenizer(model)
    _refuse_missing_packages(model, device)
    _refuse_family(model, settings.get("method"))
    if "target_modules" in settings:
        targets.refuse_unknown(model, settings["target_modules"])
        _refuse_head_of_new_tokens(model, settings["target_modules"])
    if settings.get("modules_to_save"):
        whole_modules.refuse_unknown(model.shape, settings["modules_to_save"], settings.get("target_modules", ""))
    _refuse_too_long(model, settings.get("max_length", 0))
    _refuse_too_wide(model, settings.get("rank", 0))
    family = model.shape.family
    if settings.get("precision") == "float16" and family in constants.methods().common.float16_overflows:
        raise UserError(
            f"precision: float16 overflows in the family {family}; set bfloat16, or float32 on a GPU without it",
            "precision",
        )
    if settings.get("attention") == FLASH_ATTENTION and device.here and not importlib.util.find_spec("flash_attn"):
        raise UserError(
            "attention: flash_attention_2 needs the package flash-attn, which is not installed; "
            "leave attention out, or install it with: pip install flash-attn --no-build-isolation",
            "attention",
        )
    if settings.get("attention") == FLASH_ATTENTION and (
        why := _no_flash(model, device, str(settings.get("precision", "")))
    ):
        raise UserError(f"attention: flash_attention_2 can't be taken here: {why}; leave attention out", "attention")
    if settings.get("attention") == "varlen" and (why := no_varlen(model, device, str(settings.get("precision", "")))):
        raise UserError(f"attention: varlen can't be taken here: {why}; leave attention out, or set sdpa", "attention")


def no_varlen(model: ModelInfo, device: Device, precision: str) -> str | None:
    """Why `attention = varlen` can't be taken on this device; None if it can."""
    if device.kind == "cpu":
        return None
    if why := _no_flash(model, device, precision):
        return why
    if device.here and not _torch_has_varlen():
        return "the installed torch has no varlen attention with windows, which came with 2.11"
    return None


def _no_flash(model: ModelInfo, device: Device, precision: str) -> str | None:
    """Why flash kernels don't run on this device; None if they do."""
    if (device.compute_capability or (0, 0)) < VARLEN_SINCE:
        return f"{device.name} is no NVIDIA GPU of the Ampere generation or later"
    if precision == "float32":
        return "its kernels compute in 16 bits only"
    if model.shape.head_dim > VARLEN_WIDEST:
        return f"its kernels take heads up to {VARLEN_WIDEST} wide, and those of {model.shape.name} are wider"
    return None


def _torch_has_varlen() -> bool:
    """Whether torch's source has `varlen_attn`; torch is not imported. True without torch: a plan does not need it."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return True
    source = Path(found.origin).parent / "nn/attention/varlen.py"
    return source.exists() and "window_size:" in source.read_text(encoding="utf-8")


def no_four_bits(model: ModelInfo) -> str | None:
    """Why this model can't be quantised to 4 bits, in a sentence; None if it can."""
    if model.shape.family not in constants.methods().common.no_four_bits:
        return None
    return f"The layers of the family {model.shape.family} can't be quantised to 4 bits by bitsandbytes."


def no_reference(plan: Plan) -> str | None:
    """Why the plan's objective does not go with its method, in a sentence; None if it does."""
    if plan.objective == "sft" or plan.method != "full":
        return None
    return f"{plan.objective} compares with the base model, which full fine-tuning changes: choose an adapter method."


def _refuse_family(model: ModelInfo, method: Any) -> None:
    """Refuse families that load but fail in their first step."""
    family, why = model.shape.family, no_four_bits(model)
    if family in constants.methods().common.untrainable:
        raise UserError(
            f"{model.shape.name} can't be fine-tuned here: the training step of its family {family} fails in "
            "transformers; give a model of another family",
            "model",
        )
    if method == "qlora" and why:
        raise UserError(f"method: {why[0].lower()}{why[1:-1]}; set lora or full", "method")


def _refuse_head_of_new_tokens(model: ModelInfo, target_modules: str) -> None:
    """Refuse an adapter on the head together with new tokens, whose rows train in full: it can't be merged exactly."""
    if model.added_tokens and HEAD in [name.strip() for name in target_modules.split(",")]:
        raise UserError(
            f"target_modules: {HEAD} can't carry an adapter while rows for new tokens train in it; leave it out, or "
            "list the embedding and the head in modules_to_save",
            "target_modules",
        )


def _refuse_missing_packages(model: ModelInfo, device: Device) -> None:
    """Refuse missing packages now: transformers asks for them when it builds the model, which is after the download."""
    missing = [pip for name, pip in model.packages.items() if importlib.util.find_spec(name) is None]
    if device.here and missing:
        raise UserError(
            f"{model.shape.name} can't be loaded without {' and '.join(missing)}, not installed here; "
            f"install it with: pip install {' '.join(missing)}",
            "model",
        )


def _refuse_slow_tokenizer(model: ModelInfo) -> None:
    """Refuse a model without tokenizer.json: rows are tokenised with nothing else."""
    if model.kind != "demo" and model.folder is not None and model.has_weights and model.tokenizer_file is None:
        raise UserError(
            f"{model.shape.name} has no tokenizer.json, which rows are read with; make one from its other files with: "
            f"python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('{model.folder}')"
            f".save_pretrained('{model.folder}')\"",
            "model",
        )


def _refuse_too_long(model: ModelInfo, max_length: int) -> None:
    context = model.shape.context
    if context and max_length > context:
        raise UserError(
            f"max_length: {max_length} is beyond the context of {model.shape.name}, which ends at {context} tokens; "
            f"set {context} or less",
            "max_length",
        )


def _refuse_too_wide(model: ModelInfo, rank: int) -> None:
    """Refuse a rank above a layer's own width: more parameters than the layer itself has add no capacity."""
    width = model.shape.hidden
    if rank > width:
        raise UserError(
            f"rank: {rank} is more than the width of {model.shape.name}, which is {width}; set {width} or less", "rank"
        )
