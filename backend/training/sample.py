"""The model's own answers by greedy decoding: short ones for the user to read, and those that a task is scored by."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.data.chat.endings import end_tokens
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import Ids
from backend.data.probes import Probe
from backend.plan.prompts import TOGETHER
from backend.training.compiling import uncompiled
from backend.training.network import Network
from backend.training.parallel.execution import Execution
from backend.training.parallel.sharding import is_sharded
from backend.training.precision import autocast

NEW_TOKENS = 48
"""Length limit of an answer for the user to read."""
MOST_SECONDS = 5.0
"""Time limit of answers that are generated together."""


def short_answers(network: Network, tokenizer: Any, asked: Sequence[Probe], execution: Execution) -> list[str]:
    """Short answers for the user to read, to a few questions at a time."""
    found: list[str] = []
    for start in range(0, len(asked), TOGETHER):
        some = [probe.ids for probe in asked[start : start + TOGETHER]]
        found += answers(network, tokenizer, some, execution, NEW_TOKENS, MOST_SECONDS)
    return found


@torch.no_grad()
def answers(
    network: Network, tokenizer: Any, prompts: Sequence[Ids], execution: Execution, tokens: int, seconds: float | None
) -> list[str]:
    """What the model writes after each of `prompts`, without special tokens, generated as one batch.

    Prompts are padded on the left, which the mask hides. `tokens` and `seconds` (None for no limit) end an answer.
    If the model is sharded, all ranks have to call this.
    """
    from transformers import GenerationConfig

    pad = 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    longest = max(map(len, prompts))
    ids = np.full((len(prompts), longest), pad, np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :], mask[row, longest - len(prompt) :] = prompt, 1
    config = GenerationConfig(
        max_new_tokens=tokens,
        max_time=seconds,
        do_sample=False,
        use_cache=True,
        eos_token_id=ends(network, tokenizer),
        pad_token_id=pad,
    )
    network.eval()
    try:
        with autocast(execution.plan, execution.device), uncompiled(execution.plan):
            written = network.generate(
                input_ids=torch.from_numpy(ids).to(execution.device),
                attention_mask=torch.from_numpy(mask).to(execution.device),
                generation_config=config,
                synced_gpus=is_sharded(network),
            )
    finally:
        network.train()
    return [str(x).strip() for x in tokenizer.batch_decode(written[:, longest:], skip_special_tokens=True)]


def ends(network: Network, tokenizer: Any) -> list[int]:
    """Ids that end an answer of `network`; `tokenizer` is transformers' own, of the model's folder."""
    return end_tokens(_of_folder(str(tokenizer.name_or_path)), network.generation_config.eos_token_id)


@functools.lru_cache(maxsize=1)
def _of_folder(folder: str) -> TextTokenizer:
    """Cached: every evaluation needs it, and a large vocabulary takes a while to read."""
    return TextTokenizer.load(Path(folder))
