"""What a run leaves: an adapter or a model, with the tokenizer and its chat template, in `result/`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from backend import paths
from backend.data.chat.tokenizer import TextTokenizer
from backend.plan.plan import Plan
from backend.training import auto, methods, sample
from backend.training.network import Network
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.saving import disk, own_tokenizer
from backend.training.saving.checkpoint import replace_folder

BESIDE = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "tokenizer.model")
"""Files of the base that servers and converters want, and that transformers' tokenizer does not write."""


def write(loaded: methods.Loaded, tokenizer: Any, plan: Plan, folder: Path, ranks: Ranks = ALONE) -> int:
    """Save into `folder` as a whole or not at all; returns its bytes. Rank 0 writes. Raises DiskFull, OSError."""
    if not ranks.is_first:
        methods.take_part_in_saving(loaded, plan, ranks)
        return 0
    draft = folder.with_name(f".writing-{folder.name}")
    with disk.draft(draft, methods.saved_bytes(loaded, plan)):
        methods.save(loaded, plan, draft, ranks)
        own_tokenizer.save(tokenizer, draft)
        _write_generation_config(loaded.network, tokenizer, draft / "generation_config.json")
        base = Path(loaded.network.config._name_or_path)
        _copy_beside(base, draft)
        if own_tokenizer.differs(tokenizer, base):
            own_tokenizer.write(base, draft)
        replace_folder(draft, folder)
    return _bytes(folder)


def copy(folder: Path, output: str) -> Path:
    """Copy a result to where the user wants it. Raises DiskFull and OSError."""
    target = paths.expanded(output).resolve()
    target.mkdir(parents=True, exist_ok=True)
    with disk.room(target, _bytes(folder)):
        shutil.copytree(folder, target, dirs_exist_ok=True)
    return target


def tokenizer_of(folder: Path, chat_template: str | None) -> Any:
    """The model's tokenizer; if it has no chat template, with the one that the data was rendered with.

    That is `chat_template`, or one that transformers knows in the model's processor alone.
    """
    tokenizer = auto.tokenizer(folder)
    if not tokenizer.chat_template:
        own = TextTokenizer.load(folder)
        tokenizer.chat_template = chat_template if own.is_fallback else own.chat_template
    return tokenizer


def _copy_beside(base: Path, draft: Path) -> None:
    for name in BESIDE:
        if (base / name).is_file() and not (draft / name).exists():
            shutil.copyfile(base / name, draft / name)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _write_generation_config(network: Network, tokenizer: Any, file: Path) -> None:
    """The base's settings, with the end of a turn as an end of the answer.

    Written as JSON here: transformers refuses to save changed settings that it finds inconsistent.
    """
    settings = json.loads(network.generation_config.to_json_string())
    settings.pop("_from_model_config", None)
    settings["eos_token_id"] = sample.ends(network, tokenizer)
    file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
