"""Convert the demo model from the GGUF of its package to a normal model folder.

As a command: `python -m backend.training.demo_model`. Takes about 20 seconds and 1.2 GB of memory on two CPU cores. The
stored weights are 4-bit; the result is a plain float32 Llama.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from backend import paths
from backend.errors import UserError
from backend.model import demo, headers
from backend.training import relief

_TEMPORARY: Final = ".converting-"


def convert(say: Callable[[str], None]) -> Path:
    """Make the demo model's folder and return it; returns at once if it is there already.

    Two processes may call this: the second waits and finds it done. Raises UserError if a package is missing.
    """
    folder = demo.folder()
    if demo.is_ready():
        return folder
    source = demo.source()
    with _alone(), _no_bars():
        _sweep()
        if not demo.tokenizer_ready():
            say("reading the demo model's tokenizer")
            _place(folder, "tokenizer.json", lambda target: _write_tokenizer(source, target))
        if not demo.is_ready():
            say("converting the demo model's weights, once")
            _place(folder, headers.SINGLE, lambda target: _write_model(source, target))
    relief.give_back()  # otherwise the run's memory would include it
    say("the demo model is ready")
    return folder


def _write_tokenizer(source: Path, target: Path) -> None:
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(source, gguf_file=demo.GGUF_NAME).save_pretrained(target)
    path = target / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    for key in ("is_local", "local_files_only"):  # these describe the loading, not the tokenizer
        settings.pop(key, None)
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_model(source: Path, target: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(source, gguf_file=demo.GGUF_NAME, dtype="float32")
    for name in ("hf_quantizer", "quantization_method", "is_quantized"):
        model.__dict__.pop(name, None)  # else save_pretrained refuses, though the weights are plain float32 by now
    for name in ("quantization_config", "_model_name_or_path"):
        model.config.__dict__.pop(name, None)
    tokenizer = AutoTokenizer.from_pretrained(demo.folder())
    for settings in (model.config, model.generation_config):
        settings.bos_token_id = tokenizer.bos_token_id
        settings.eos_token_id = tokenizer.eos_token_id  # <|im_end|>: an answer ends where a turn ends
        settings.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(target)


def _place(folder: Path, last: str, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary folder, then move its files into `folder`, the one that says "complete" last."""
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder.parent) as temporary:
        write(Path(temporary))
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(Path(temporary).iterdir(), key=lambda path: path.name == last):
            path.chmod(0o644)  # safetensors writes 0600
            path.replace(folder / path.name)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the conversion's lock; the system frees it when this process ends, however it ends."""
    fd = os.open(demo.folder().with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Switch transformers' progress bars off, which would disturb a log or a screen, and restore them afterwards."""
    from transformers import modeling_gguf_pytorch_utils as gguf_loader
    from transformers.utils import logging

    shown, bar = logging.is_progress_bar_enabled(), gguf_loader.tqdm
    logging.disable_progress_bar()
    gguf_loader.tqdm = partial(bar, disable=True)  # this one ignores the switch
    try:
        yield
    finally:
        gguf_loader.tqdm = bar
        if shown:
            logging.enable_progress_bar()


def _sweep() -> None:
    """Remove what a killed conversion left behind. Only call this with the lock held."""
    for path in paths.models().glob(f"{_TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def main() -> int:
    """Convert, saying each step on a line; the exit code is 0, or 2 if a package is missing."""
    try:
        print(convert(lambda text: print(text, flush=True)))
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
