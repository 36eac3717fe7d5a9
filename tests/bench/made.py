"""What the trainer's benchmarks train: a 10M-parameter Llama with 32,000 tokens, on GSM8K rows of the demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.data.reading.load import DEMO
from tests.tiny import CHATML

VOCABULARY = 32_000
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def model(folder: Path) -> Path:
    """A Llama with random weights from a fixed seed, and a byte-level BPE learnt from the demo's rows."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def rows(path: Path, count: int) -> Path:
    """The first `count` rows of the demo as prompt and completion turns, which fttui and TRL both read."""
    lines = DEMO.read_text(encoding="utf-8").splitlines()[:count]
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            row = json.loads(line)
            prompt = [{"role": "user", "content": row["question"]}]
            completion = [{"role": "assistant", "content": row["answer"]}]
            file.write(json.dumps({"prompt": prompt, "completion": completion}) + "\n")
    return path


def write_tokenizer(folder: Path) -> None:
    """A byte-level BPE learnt from the demo's rows, with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (f"{row['question']}\n{row['answer']}" for row in map(json.loads, DEMO.open(encoding="utf-8")))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": CHATML,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
