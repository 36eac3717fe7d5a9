"""Shared by the processes in an emulated box: the driver's counters, and a trainer that ignores values."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COUNTED = ("launches", "stream_waits", "device_waits", "event_waits", "blocking_copies", "pageable_copies")


class Driver:
    """The emulated driver of this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._library.emulated_count.restype = ctypes.c_long

    def count(self, name: str) -> int:
        """One of its counters, or `used` and `peak`: bytes on the current device."""
        return int(self._library.emulated_count(name.encode()))

    def counts(self) -> dict[str, int]:
        """Launches, and whatever makes the host wait."""
        return {name: self.count(name) for name in COUNTED}


def since(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """What has been counted in between, without zeros."""
    return {name: now[name] - before[name] for name in now if now[name] != before[name]}


def blind() -> None:
    """Make the trainer treat every value as finite and every check as passed: no kernel has computed anything."""
    import torch
    from transformers import GenerationMixin, PreTrainedTokenizerBase

    from backend.training import checks, load_check
    from backend.training.forgetting import tokens
    from backend.training.optim import optimizers

    checks.packs = lambda *_: True
    checks.can_chunk = lambda *_: True
    checks.takes_bounds = lambda *_: True
    load_check.refuse_incomplete = lambda *_: None
    load_check.refuse_unusable = lambda *_: None
    tokens._valid = _valid_by_the_host
    torch.backends.cuda.enable_cudnn_sdp(False)  # cuDNN itself is not emulated
    _end_answers(GenerationMixin)
    PreTrainedTokenizerBase.batch_decode = lambda self, ids, **_: [""] * len(ids)  # sampled tokens are arbitrary
    optimizers._step_if_finite = lambda optimizer, norm, plan: optimizers._step(optimizer, norm)
    never_mind: Any = property(lambda self: True, lambda self, value: None)
    optimizers.InBackward._finite = never_mind


def _end_answers(generates: Any) -> None:
    """Make the host count the tokens of an answer: whether it has ended is a value on the device, too."""
    generate = generates.generate

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        self.emulated_left = options["generation_config"].max_new_tokens
        return generate(self, *arguments, **options)

    def has_unfinished(self: Any, *_: Any, **__: Any) -> bool:
        self.emulated_left -= 1
        return bool(self.emulated_left >= 0)

    generates.generate, generates._has_unfinished_sequences = counted, has_unfinished


def _valid_by_the_host(batch: Any) -> Any:
    """Which target positions are not padding, from host data: the device holds what was copied but computes nothing."""
    from backend.training.batches import IGNORED

    valid = (batch.targets.cpu() != IGNORED).flatten()
    return valid.nonzero().flatten().to(batch.targets.device)


def network(folder: Path, plan: Any, attention: str) -> Any:
    """The model of `folder`'s configuration on the device, unwritten; its linear layers in 4 bits for QLoRA."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from backend.training.methods import implementation
    from backend.training.precision import weight_dtype

    config = AutoConfig.from_pretrained(folder)
    with torch.device("cuda"):
        kernel = implementation(attention)
        made = AutoModelForCausalLM.from_config(config, dtype=weight_dtype(plan), attn_implementation=kernel)
        if plan.method == "qlora":
            _quantise(made, plan)
    return made


def _quantise(made: Any, plan: Any) -> None:
    import bitsandbytes
    import torch

    from backend.training.precision import compute_dtype

    head = made.get_output_embeddings()
    for parent in list(made.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear and layer is not head:
                new = bitsandbytes.nn.Linear4bit(
                    1, 1, bias=False, compute_dtype=compute_dtype(plan), compress_statistics=True, quant_type="nf4",
                    device="meta",
                )  # fmt: skip
                new.in_features, new.out_features = layer.in_features, layer.out_features
                weight = bitsandbytes.nn.Params4bit(
                    layer.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4", module=new
                )
                new.weight = weight._quantize("cuda")
                setattr(parent, name, new)
    made.is_loaded_in_4bit = True
