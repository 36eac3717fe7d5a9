"""The run as a config for `trl sft` (field names of TRL 1.16.0)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backend.export.recipe import Recipe
from backend.export.rows import FOLDER

FILE = "sft.yaml"
COMMAND = f"trl sft --config {FILE}"
"""To be run in the export's folder."""
PAIRS = True
"""TRL scores the completion of a pair by itself."""


def settings(recipe: Recipe) -> dict[str, Any]:
    """The config, key by key; None is left out."""
    plan, rows = recipe.plan, recipe.rows
    return {
        "model_name_or_path": recipe.source.base,
        "chat_template_path": None if rows.has_own_template else str(recipe.source.result / "chat_template.jinja"),
        "dtype": "float32" if plan.method == "full" and not recipe.keeps_16_bit_weights else plan.precision,
        "attn_implementation": plan.attention.replace("varlen", "sdpa"),
        **(_adapter(recipe) if recipe.source.is_adapter else {}),
        "dataset_name": FOLDER,
        "output_dir": "output",
        **_batches(recipe),
        **recipe.rate,
        "completion_only_loss": True if rows.form == "pairs" else None,
        "assistant_only_loss": True if rows.form == "messages" else None,
        "gradient_checkpointing": plan.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if plan.checkpointing else None,
        "activation_offloading": plan.activation_offload,
        "use_cpu": True if recipe.source.job.device == "cpu" else None,
        "bf16": plan.precision == "bfloat16",
        "fp16": plan.precision == "float16",
        "eval_strategy": "steps" if rows.held_out else "no",
        "eval_steps": recipe.eval_steps if rows.held_out else None,
        "per_device_eval_batch_size": recipe.micro_batch if rows.held_out else None,
        "save_strategy": "steps",
        "save_steps": recipe.save_steps,
        "save_total_limit": plan.keep_checkpoints,
        "logging_steps": 1,
        "report_to": "none",
        "seed": plan.seed,
    }


def _adapter(recipe: Recipe) -> dict[str, Any]:
    plan = recipe.plan
    nf4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "use_bnb_nested_quant": True}
    return {
        "use_peft": True,
        "lora_r": plan.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": plan.dropout,
        "lora_target_modules": recipe.targets or ["all-linear"],
        "lora_modules_to_save": recipe.whole_modules,
        "use_dora": plan.use_dora or None,
        "use_rslora": plan.use_rslora or None,
        **(nf4 if plan.method == "qlora" else {}),
    }


def _batches(recipe: Recipe) -> dict[str, Any]:
    plan = recipe.plan
    return {
        "max_length": plan.max_length,
        "packing": False,
        "padding_free": True if plan.packing and plan.attention == "flash_attention_2" else None,
        "per_device_train_batch_size": recipe.micro_batch,
        "gradient_accumulation_steps": recipe.accumulation,
        "num_train_epochs": plan.epochs,
        "max_steps": recipe.max_steps,
    }


def comments(recipe: Recipe) -> Iterator[str]:
    """Comment lines at the top of the config."""
    yield from recipe.head("TRL 1.16", COMMAND)
    if recipe.plan.method == "qlora" and recipe.plan.precision == "bfloat16":
        yield "- adapter_dtype: TRL keeps the adapters of a 4-bit base in bfloat16; the run kept them in float32."
    if recipe.rows.form == "messages":
        yield "- several answers of a row are scored: TRL needs a chat template with generation marks, or one it knows."
    if recipe.rows.has_unscored_answers:
        yield "- some answers were not scored (train: false); TRL scores them all."
