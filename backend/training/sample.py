"""The model's answer to one prompt, short and by greedy decoding: for the user to read, never a measure of quality."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.data.chat.endings import end_tokens
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import Ids
from backend.training.compiling import uncompiled
from backend.training.network import Network
from backend.training.parallel.execution import Execution
from backend.training.parallel.sharding import is_sharded
from backend.training.precision import autocast

NEW_TOKENS = 48
MOST_SECONDS = 5.0


@torch.no_grad()
def answer(network: Network, tokenizer: Any, prompt: Ids, execution: Execution) -> str:
    """What the model writes after the tokens of `prompt`, without special tokens. If it is sharded, all ranks ask."""
    from transformers import GenerationConfig

    ids = torch.from_numpy(prompt.astype(np.int64)).unsqueeze(0).to(execution.device)
    config = GenerationConfig(
        max_new_tokens=NEW_TOKENS,
        max_time=MOST_SECONDS,
        do_sample=False,
        use_cache=True,
        eos_token_id=ends(network, tokenizer),
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0,
    )
    network.eval()
    try:
        with autocast(execution.plan, execution.device), uncompiled(execution.plan):
            written = network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=config,
                synced_gpus=is_sharded(network),
            )
    finally:
        network.train()
    return str(tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)).strip()


def ends(network: Network, tokenizer: Any) -> list[int]:
    """Ids that end an answer of `network`; `tokenizer` is transformers' own, of the model's folder."""
    return end_tokens(_of_folder(str(tokenizer.name_or_path)), network.generation_config.eos_token_id)


@functools.lru_cache(maxsize=1)
def _of_folder(folder: str) -> TextTokenizer:
    """Cached: every evaluation needs it, and a large vocabulary takes a while to read."""
    return TextTokenizer.load(Path(folder))
