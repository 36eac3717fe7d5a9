"""Loss and gradients of one batch of preferences by TRL: `python preference_trl.py OBJECTIVE MODEL ADAPTER ROWS OUT`.

OBJECTIVE is dpo or kto; ADAPTER a LoRA adapter with its weights; ROWS a JSON list of token ids and where the answers
begin. Writes loss and gradients to OUT (safetensors). Imports nothing of this repository.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

BETA = 0.1


def main() -> None:
    """One batch through the trainer's own collator and loss."""
    import torch
    from safetensors.torch import save_file

    objective, model, adapter, rows, out = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        trainer = made(objective, model, adapter, json.loads(Path(rows).read_text()), folder)
        if "ref" in trainer.model.peft_config:  # a copy of the adapter; the reference here is the base without it
            trainer.model.delete_adapter("ref")
        batch = next(iter(trainer.get_train_dataloader()))
        trainer.model.train()
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
    found = {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}
    save_file({"loss": torch.tensor([float(loss)])} | {name: x.contiguous() for name, x in found.items()}, out)


def made(objective: str, model: str, adapter: str, rows: list[dict[str, Any]], folder: str) -> Any:
    """The trainer, with its data set tokenised by fttui, so that both sides see the same ids."""
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    network = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter, is_trainable=True)
    common: dict[str, Any] = {
        "output_dir": folder,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "beta": BETA,
        "per_device_train_batch_size": len(rows),
        "gradient_checkpointing": False,
        "max_length": None,
        "seed": 0,
        "bf16": False,
    }
    kind, config = (DPOTrainer, DPOConfig) if objective == "dpo" else (KTOTrainer, KTOConfig)
    kind._prepare_dataset = lambda self, dataset, *rest, **more: dataset  # the rows are tokenised already
    return kind(
        model=network,
        args=config(**common),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
    )


if __name__ == "__main__":
    main()
