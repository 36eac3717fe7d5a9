"""The run as a config for axolotl (field names of its schemas of July 2026, commit 067b021c)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backend.export.recipe import FINAL, OPTIMIZERS, Recipe
from backend.export.rows import FOLDER, HELD_OUT, TRAIN, TRAINED, ExportedRows

FILE = "axolotl.yaml"
COMMAND = f"axolotl train {FILE}"
"""To be run in the export's folder."""
PAIRS = False


def settings(recipe: Recipe) -> dict[str, Any]:
    """The config, key by key; None is left out."""
    plan, rows = recipe.plan, recipe.rows
    return {
        "base_model": recipe.source.base,
        "attn_implementation": plan.attention.replace("varlen", "sdpa"),
        **(_adapter(recipe) if recipe.source.is_adapter else {}),
        **_data(recipe),
        "output_dir": "output",
        "sequence_len": plan.max_length,
        "excess_length_strategy": "truncate",
        "sample_packing": False,
        "batch_flattening": True if plan.packing and plan.attention == "flash_attention_2" else None,
        "micro_batch_size": recipe.micro_batch,
        "gradient_accumulation_steps": recipe.accumulation,
        "num_epochs": plan.epochs,
        "max_steps": recipe.max_steps,
        **_rate(recipe),
        "gradient_checkpointing": plan.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if plan.checkpointing else None,
        "activation_offloading": plan.activation_offload or None,
        "bf16": plan.precision == "bfloat16",
        "fp16": plan.precision == "float16",
        "tf32": False,
        "eval_steps": recipe.eval_steps if rows.held_out else None,
        "save_steps": recipe.save_steps,
        "save_total_limit": plan.keep_checkpoints,
        "logging_steps": 1,
        "seed": plan.seed,
    }


def _adapter(recipe: Recipe) -> dict[str, Any]:
    plan = recipe.plan
    return {
        "adapter": plan.method,
        "load_in_4bit": plan.method == "qlora",
        "lora_r": plan.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": plan.dropout,
        "lora_target_linear": True if recipe.targets is None else None,
        "lora_target_modules": recipe.targets,
        "lora_modules_to_save": recipe.whole_modules,
        "peft_use_dora": recipe.plan.use_dora or None,
        "peft_use_rslora": recipe.plan.use_rslora or None,
    }


def _data(recipe: Recipe) -> dict[str, Any]:
    rows = recipe.rows
    if rows.form == "text":
        kind: dict[str, Any] = {"ds_type": "json", "type": "completion", "field": "text"}
        return _files(rows, kind)
    kind = {"ds_type": "json", "type": "chat_template", "field_messages": "messages"}
    kind |= {"roles_to_train": ["assistant"], "train_on_eos": "turn"}
    kind |= {"field_tools": "tools"} if rows.has_tools else {}
    kind |= {"message_field_training": TRAINED} if rows.has_unscored_answers else {}
    if rows.has_own_template:
        return {"chat_template": "tokenizer_default", **_files(rows, kind)}
    stand_in = str(recipe.source.result / "chat_template.jinja")
    return {"chat_template": "jinja", "chat_template_jinja": stand_in, **_files(rows, kind)}


def _files(rows: ExportedRows, kind: Mapping[str, Any]) -> dict[str, Any]:
    train, held_out = ({"path": f"{FOLDER}/{name}", **kind} for name in (TRAIN, HELD_OUT))
    return {
        "datasets": [train],
        "test_datasets": [held_out | {"split": "train"}] if rows.held_out else None,
        "val_set_size": 0.0,
    }


def _rate(recipe: Recipe) -> dict[str, Any]:
    plan, (schedule, shape) = recipe.plan, recipe.schedule
    cosine = plan.schedule == "cosine"
    return {
        "learning_rate": plan.learning_rate,
        "lr_scheduler": "cosine" if cosine else schedule,
        "cosine_min_lr_ratio": FINAL if cosine else None,
        "lr_scheduler_kwargs": None if cosine else shape or None,
        "warmup_steps": recipe.warmup_steps,
        "weight_decay": plan.weight_decay,
        "max_grad_norm": plan.max_grad_norm,
        "optimizer": OPTIMIZERS[plan.optimizer],
    }


def comments(recipe: Recipe) -> Iterator[str]:
    """Comment lines at the top of the config."""
    read = "Written from axolotl's schemas of July 2026 (067b021c); no run with it was made."
    yield from recipe.head("axolotl", COMMAND, read)
    if recipe.plan.method == "full" and recipe.plan.precision == "bfloat16" and not recipe.keeps_16_bit_weights:
        yield "- weights_dtype: axolotl keeps the weights in bfloat16, where most small updates round away;"
        yield "  the run kept them in float32. bf16: false keeps them so, and computes in it."
