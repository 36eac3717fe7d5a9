"""Merge a whole model in memory by peft, if an adapter's matrices are not in the base's files as in the model.

That is so if a checkpoint is converted while it loads, or if an adapter is on a head that shares its matrix with
the embedding: such a head is given a matrix of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter

from backend.model import stored
from backend.training import auto

HEAD = "lm_head"


def merge(base: Path, adapter: Path, target: Path) -> None:
    """Write the merged model into `target`, in the base's own type."""
    from peft import PeftConfig, PeftModel

    model = auto.load(base, dtype=getattr(torch, stored.dtype(base)))
    if HEAD in (PeftConfig.from_pretrained(adapter).target_modules or ()):
        _untie(model)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.save_pretrained(target)


def _untie(model: Any) -> None:
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and head.weight is embedding.weight:
        head.weight = Parameter(head.weight.detach().clone())
        model.config.tie_word_embeddings = False
