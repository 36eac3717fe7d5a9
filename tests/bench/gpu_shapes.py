"""Models of real shapes with random weights, for benchmarks on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.model import known
from backend.model.shape import ModelShape

NAMES = {"1B": "Llama-3.2-1B", "3B": "Llama-3.2-3B", "8B": "Llama-3.1-8B"}
TINY: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "head_dim": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 32_000,
}


def config_of(name: str) -> dict[str, Any]:
    """Transformers' settings of the shape."""
    if name == "tiny":
        return {**config_of("1B"), **TINY}
    entry = known.by_name(NAMES[name])
    assert entry is not None
    return dict(entry[0].config)


def shape_of(name: str) -> ModelShape:
    """What the planner knows of the shape."""
    from backend.model.config import shape_from_config

    return shape_from_config(config_of(name), name)


def make(name: str, folder: Path, device: str) -> None:
    """Random 16-bit weights as a folder that the trainer loads."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = config_of(name)
    with torch.device(device):
        config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
