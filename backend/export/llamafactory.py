"""The run as a config for LLaMA-Factory, with its dataset_info.json (field names of August 2026, commit ff6d4d12)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.export.recipe import Recipe
from backend.export.rows import FOLDER, HELD_OUT, TRAIN

FILE, INFO = "llamafactory.yaml", "dataset_info.json"
COMMAND = f"llamafactory-cli train {FILE}"
"""To be run in the export's folder."""
PAIRS = False
_ATTENTION = {"sdpa": "sdpa", "varlen": "sdpa", "flash_attention_2": "fa2", "eager": "disabled"}
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "system_tag": "system",
}


def list_data(recipe: Recipe, folder: Path) -> None:
    """Write the list of data files that LLaMA-Factory reads next to the rows in `folder`."""
    names = [TRAIN, HELD_OUT] if recipe.rows.held_out else [TRAIN]
    info = {Path(name).stem: _described(recipe, name) for name in names}
    (folder / FOLDER / INFO).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def _described(recipe: Recipe, name: str) -> dict[str, Any]:
    if recipe.rows.form == "text":
        return {"file_name": name, "columns": {"prompt": "text"}}
    # its "openai" formatting would put a system text of its own before each conversation
    return {"file_name": name, "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": _TAGS}


def settings(recipe: Recipe) -> dict[str, Any]:
    """The config, key by key; None is left out."""
    plan, rows = recipe.plan, recipe.rows
    return {
        "model_name_or_path": recipe.source.base,
        "flash_attn": _ATTENTION[plan.attention],
        "stage": "pt" if rows.form == "text" else "sft",
        "do_train": True,
        **_method(recipe),
        "dataset_dir": FOLDER,
        "dataset": Path(TRAIN).stem,
        "eval_dataset": Path(HELD_OUT).stem if rows.held_out else None,
        "cutoff_len": plan.max_length,
        "packing": False,
        "train_on_prompt": False,
        "output_dir": "output",
        "per_device_train_batch_size": recipe.micro_batch,
        "gradient_accumulation_steps": recipe.accumulation,
        "num_train_epochs": plan.epochs,
        "max_steps": recipe.max_steps,
        **recipe.rate,
        "disable_gradient_checkpointing": not plan.checkpointing,
        "use_reentrant_gc": False if plan.checkpointing else None,
        "use_cpu": True if recipe.source.job.device == "cpu" else None,
        "bf16": plan.precision == "bfloat16",
        "fp16": plan.precision == "float16",
        "pure_bf16": True if recipe.keeps_16_bit_weights else None,
        "eval_strategy": "steps" if rows.held_out else "no",
        "eval_steps": recipe.eval_steps if rows.held_out else None,
        "per_device_eval_batch_size": recipe.micro_batch if rows.held_out else None,
        "save_steps": recipe.save_steps,
        "save_total_limit": plan.keep_checkpoints,
        "logging_steps": 1,
        "report_to": "none",
        "seed": plan.seed,
    }


def _method(recipe: Recipe) -> dict[str, Any]:
    plan = recipe.plan
    if not recipe.source.is_adapter:
        return {"finetuning_type": "full"}
    nf4 = {"quantization_bit": 4, "quantization_method": "bnb", "quantization_type": "nf4", "double_quantization": True}
    return {
        "finetuning_type": "lora",
        "lora_rank": plan.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": plan.dropout,
        "lora_target": ",".join(recipe.targets or ["all"]),
        "additional_target": ",".join(recipe.whole_modules or []) or None,
        "use_dora": plan.use_dora or None,
        "use_rslora": plan.use_rslora or None,
        **(nf4 if plan.method == "qlora" else {}),
    }


def comments(recipe: Recipe) -> Iterator[str]:
    """Comment lines at the top of the config."""
    read = "Written from LLaMA-Factory's arguments of August 2026 (ff6d4d12); no run with it was made."
    yield from recipe.head("LLaMA-Factory", COMMAND, read)
    if recipe.rows.form != "text" and recipe.rows.has_own_template:
        yield "- template: left out, so that LLaMA-Factory derives one from the tokenizer's; see that it is the same."
    elif recipe.rows.form != "text":
        yield "- template: the model has none, and the run's stand-in (User: ... Assistant: ...) has no name here."
    if recipe.rows.has_tools:
        yield "- tools: LLaMA-Factory wants tools and calls in a shape of its own; they are not carried."
    if recipe.plan.activation_offload:
        yield "- activation_offload: no equivalent."
    if recipe.rows.has_unscored_answers:
        yield "- some answers were not scored (train: false); LLaMA-Factory scores them all."
