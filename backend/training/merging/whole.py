"""Merge a whole model in memory by peft, if the base's files don't hold the adapted matrices as the model does.

That is so if a checkpoint is converted while it loads, or if an adapter is on a head that shares its matrix with
the embedding: such a head is given a matrix of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter

from backend import units
from backend.errors import UserError
from backend.hardware import host
from backend.model import headers, stored
from backend.model.adapter import unreadable
from backend.training import adapters, auto

HEAD = "lm_head"
_COPIES = 2
"""Copies of the weights in memory: the model, and what is written."""


def refuse_little_ram(base: Path, copies: int, fix: str) -> None:
    """Raise UserError (field `run`) unless so many copies of the weights in `base` have room in memory."""
    weights = headers.read(base)
    needed, free = copies * weights.bytes if weights else 0, host.ram().available_bytes
    if needed > free:
        raise UserError(
            f"loading the model takes {units.gib(needed)} of RAM, and {units.gib(free)} are free: "
            f"free {units.gib(needed - free)}{fix}",
            "run",
        )


def merge(base: Path, adapter: Path, target: Path) -> None:
    """Write the merged model into `target`, in the base's own type. Raises UserError if the memory is too small."""
    refuse_little_ram(base, _COPIES, "")
    from peft import PeftConfig, PeftModel

    model = auto.load(base, dtype=getattr(torch, stored.dtype(base)))
    if HEAD in (PeftConfig.from_pretrained(adapter).target_modules or ()):
        _untie(model)
    together = PeftModel.from_pretrained(model, adapter)
    _refuse_left_over(together, adapter)
    _once(together)
    together.merge_and_unload().save_pretrained(target)


def _refuse_left_over(together: Any, adapter: Path) -> None:
    """Raise UserError (field `adapter`) if a tensor of the adapter has no place in the model: peft leaves it out."""
    from peft import get_peft_model_state_dict, load_peft_weights

    own = get_peft_model_state_dict(together, save_embedding_layers=False)
    surplus = sorted(load_peft_weights(str(adapter), device="cpu").keys() - own.keys())
    if surplus:
        raise unreadable(adapter, f"no layer takes its tensor {surplus[0]}")


def _once(together: Any) -> None:
    """Merge only the first of layers that share a weight. Raises UserError if their adapters are not the same."""
    for layer, earlier in adapters.shared_layers(together):
        pairs = ((x.lora_A["default"].weight, x.lora_B["default"].weight) for x in (layer, earlier))
        if not all(torch.equal(one, other) for one, other in zip(*pairs, strict=True)):
            raise UserError(
                "the blocks of this model share weights, and the adapter has different matrices for them, which no "
                "merged model can hold; serve the adapter, --to vllm",
                "run",
            )
        del layer.lora_A["default"]  # peft merges only the adapters in this dictionary


def _untie(model: Any) -> None:
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and head.weight is embedding.weight:
        head.weight = Parameter(head.weight.detach().clone())
        model.config.tie_word_embeddings = False
