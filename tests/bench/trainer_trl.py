"""One run of TRL's SFTTrainer, in an environment that has it: `python trainer_trl.py SETTING MODEL ROWS JSON`.

SETTING is `trl-defaults` or `trl-best` (packed, bfloat16, no checkpointing). JSON: `batch` rows a step, `length`
tokens of a packed sequence (about `batch` rows), `method` lora or full. Prints one line of JSON. Imports nothing of
this repository.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from typing import Any


def main() -> None:
    """Train one epoch and print seconds and peak memory."""
    setting, model, rows, options = sys.argv[1:]
    train(setting, model, rows, json.loads(options))


def train(setting: str, model: str, rows: str, options: dict[str, Any]) -> None:
    """As TRL's quick start does it."""
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    with tempfile.TemporaryDirectory() as folder:
        common: dict[str, Any] = {
            "output_dir": folder,
            "num_train_epochs": 1,
            "save_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
        }
        own: dict[str, Any]
        if setting == "trl-best":  # a packed sequence holds about `batch` rows
            own = {"packing": True, "bf16": True, "gradient_checkpointing": False}
            own |= {"per_device_train_batch_size": 1, "max_length": options["length"]}
        else:
            own = {"per_device_train_batch_size": options["batch"]}
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**common, **own),
            train_dataset=load_dataset("json", data_files=rows, split="train"),
            processing_class=AutoTokenizer.from_pretrained(model),
            peft_config=_adapters(options),
        )
        done = trainer.train()
    print(
        json.dumps(
            {
                "seconds": done.metrics["train_runtime"],
                "steps": done.global_step,
                "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "loss": done.metrics["train_loss"],
            }
        )
    )


def _adapters(options: dict[str, Any]) -> Any:
    if options["method"] != "lora":
        return None
    from peft import LoraConfig

    return LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


if __name__ == "__main__":
    main()
