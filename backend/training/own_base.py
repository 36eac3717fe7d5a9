"""The base that a run makes for itself: with an adapter merged into it, or with rows for new tokens.

It lies in the run's folder, so that training, resuming and exporting load it as any model. An adapter that is trained
further is copied there too: its own folder may change.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.data import added_tokens
from backend.data.chat.tokenizer import TextTokenizer
from backend.errors import UserError
from backend.model import adapter, headers
from backend.model.adapter import CONFIG, WEIGHTS
from backend.plan.job import Job
from backend.training.saving import disk, own_tokenizer
from backend.training.start import NOTHING, Start

BASE, ADAPTER = "base", "adapter"
"""Folders in the run's folder."""
_WEIGHTS = (".safetensors", headers.INDEX, ".bin", ".gguf")
_EXTRA_BYTES = 64_000_000


def is_made(job: Job) -> bool:
    """Whether the run trains over a base of its own."""
    return job.adapter_is_merged or bool(job.added_tokens)


def folder(run: Path) -> Path:
    """The folder of a run's own base."""
    return run / BASE


def made(job: Job, base: Path, run: Path, say: Callable[[str], None]) -> Path:
    """The folder to train over: `base`, or the one that is made from it, once. Raises UserError, DiskFull, OSError."""
    if job.adapter and not (run / ADAPTER).is_dir():
        _copy_adapter(Path(job.adapter), run)
    own = folder(run)
    if not is_made(job) or own.is_dir():
        return own if own.is_dir() else base
    from backend.training.saving.checkpoint import replace_folder

    draft = run / f".writing-{BASE}"
    weights = headers.read(base)
    with disk.draft(draft, (weights.bytes if weights else 0) + _EXTRA_BYTES):
        _write(job, base, run, draft, say)
        replace_folder(draft, own)
    return own


def start(job: Job, base: Path, run: Path) -> Start:
    """What an adapter method starts from over the base in the folder `base`."""
    if not job.adapter and not job.added_tokens:
        return NOTHING
    ids = _ids(job, TextTokenizer.load(base)) if job.added_tokens else ()
    return Start(ids, run / ADAPTER if job.adapter and not job.adapter_is_merged else None)


def _copy_adapter(source: Path, run: Path) -> None:
    from backend.training.saving.checkpoint import replace_folder

    if not source.is_dir():
        raise UserError(f"adapter: {source} is not there any more; put it back", "adapter")
    found = adapter.read(source)
    with disk.draft(run / f".writing-{ADAPTER}", found.bytes):
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(source / name, run / f".writing-{ADAPTER}" / name)
        replace_folder(run / f".writing-{ADAPTER}", run / ADAPTER)


def _write(job: Job, base: Path, run: Path, draft: Path, say: Callable[[str], None]) -> None:
    from backend.training.merging import merge, rows

    for path in sorted(base.iterdir()):
        if path.is_file() and not path.name.endswith(_WEIGHTS) and path.name != "config.json":
            shutil.copyfile(path, draft / path.name)
        elif path.name == "additional_chat_templates":
            shutil.copytree(path, draft / path.name)
    if not job.adapter_is_merged:
        rows.add(base, _write_tokenizer(job, base, draft), draft)
        say(f"rows for {len(job.added_tokens):,} new tokens are added to the model")
        return
    say(f"merging the adapter into {base.name}")
    merge.write(base, run / ADAPTER, merge.streamed(base, run / ADAPTER), draft)
    if job.added_tokens:
        _grow_in_place(job, base, draft)


def _grow_in_place(job: Job, base: Path, draft: Path) -> None:
    """Rows for new tokens in the merged model."""
    from backend.training.merging import rows

    merged = draft / ".merged"
    merged.mkdir()
    for path in (*headers.weight_files(draft), draft / headers.INDEX, draft / "config.json"):
        if path.exists():
            path.rename(merged / path.name)
    rows.add(merged, _write_tokenizer(job, base, draft), draft)
    shutil.rmtree(merged)


def _write_tokenizer(job: Job, base: Path, draft: Path) -> tuple[int, ...]:
    """The base's tokenizer with the new tokens; returns their ids. Raises UserError if the tokenizer splits one."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    added_tokens.refuse_known(job.added_tokens, TextTokenizer.load(base), job.model)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in job.added_tokens])
    is_another = own_tokenizer.differs(tokenizer, base)
    own_tokenizer.save(tokenizer, draft)
    if is_another:
        own_tokenizer.write(base, draft, job.added_tokens)
    return _ids(job, TextTokenizer.load(draft))


def _ids(job: Job, tokenizer: TextTokenizer) -> tuple[int, ...]:
    found = {text: tokenizer.id_of(text) for text in job.added_tokens}
    for text, number in found.items():
        if number is None or tokenizer.encode_ids([text])[0] != [number]:
            raise UserError(
                f"add_tokens: the tokenizer of {job.model} does not read {text!r} as one token; leave it out",
                "add_tokens",
            )
    return tuple(number for number in found.values() if number is not None)
