"""Adapters as peft writes them, made without torch, for the tiny Llama of tests/tiny.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

SIZES = {"q_proj": (64, 64), "v_proj": (64, 32), "down_proj": (128, 64)}
"""Inputs and outputs of each target module."""


def make_adapter(folder: Path, base: str = "", rank: int = 4, layers: int = 2, **config: Any) -> Path:
    """Write an adapter on q_proj and v_proj into `folder`; `config` overrides what peft says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": 8,
        "target_modules": ["v_proj", "q_proj"],
        "bias": "none",
    } | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    draw = np.random.default_rng(0)
    tensors = {}
    for layer in range(layers):
        for name in ("q_proj", "v_proj"):
            inputs, outputs = SIZES[name]
            module = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{module}.lora_A.weight"] = draw.standard_normal((rank, inputs)).astype(np.float32)
            tensors[f"{module}.lora_B.weight"] = draw.standard_normal((outputs, rank)).astype(np.float32) * 0.05
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder
