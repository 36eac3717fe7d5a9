"""The job's model as a folder on this box: as it is, downloaded from the hub, or converted (the demo)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend import atomic, paths, typed
from backend.errors import UserError
from backend.model import demo, hub, local, stored
from backend.plan.job import Job
from backend.training import own_base

WANTED = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt"]
UNWANTED = ["[!a]*/*", "a[!d]*/*", "ad[!d]*/*", "consolidated*.safetensors"]
"""Folders of other formats (all but additional_chat_templates/), and a second copy of the same weights."""
WEIGHTS = "base-weights"
"""File in the run's folder: a fingerprint of the weights that the run began with."""
OWN_WEIGHTS = "own-base-weights"
"""The same of the base that the run made for itself."""
CONFIG = "base-config.json"
"""What config.json of the base said when the run began."""
_OF_NO_MATTER = (
    *("_name_or_path", "_commit_hash", "transformers_version", "architectures", "auto_map"),
    *("dtype", "torch_dtype", "use_cache", "_attn_implementation"),
)
"""Keys of config.json that tools rewrite, and that don't change what the model computes."""
_HASH = re.compile(r"[0-9a-f]{6,128}")
REVISION = "base-revision"
"""File in the run's folder: the commit of the base model that the run began with; a later one may differ."""


def model_folder(job: Job, run: Path, say: Callable[[str], None]) -> Path:
    """The folder that the weights and the tokenizer load from, the run's own base if it has one.

    `run` is the run's folder.

    Raises UserError if the weights are others than when the run began, or can't be trained, and what the hub raises
    if they can't be fetched.
    """
    own = own_base.folder(run)
    if not (own_base.is_made(job) and own.is_dir()):
        folder = _folder(job, run, say)
        _refuse_other_weights(folder, run / WEIGHTS)
        _refuse_other_config(folder, run / CONFIG)
        folder = own_base.made(job, folder, run, say)
        if folder != own:
            return folder
    _refuse_other_weights(own, run / OWN_WEIGHTS)
    return own


def _folder(job: Job, run: Path, say: Callable[[str], None]) -> Path:
    if job.model == "demo":
        from backend.training.demo_model import convert

        return convert(say)
    folder = paths.expanded(job.model_folder)
    if folder.is_dir():
        return folder.resolve()
    if not hub.HUB_ID.fullmatch(job.model_folder):
        raise UserError(f"the model's folder {folder} is gone; put it back there, or start a new run", "model")
    return _downloaded(job.model_folder, run / REVISION, say)


def _refuse_other_weights(folder: Path, known: Path) -> None:
    """Raise UserError if the weights have changed: an adapter fits only the weights that it was trained on."""
    now, then = stored.fingerprint(folder), _noted(known)
    if not then:
        known.write_text(now, encoding="ascii")
    elif then != now:
        raise UserError(
            f"the weights in {folder} have changed since this run began; put the earlier ones back, "
            "or start a new run with these",
            "model",
        )


def _refuse_other_config(folder: Path, known: Path) -> None:
    """Raise UserError if settings have changed: other rotary settings or scales make another model of the weights."""
    now, then = _config(folder / "config.json"), _config(known)
    if not then:
        atomic.write(known, json.dumps(now))
    elif other := next((key for key in now | then if now.get(key) != then.get(key)), None):
        raise UserError(
            f"config.json in {folder} has changed since this run began ({other} was {then.get(other)!r}); put the "
            "earlier one back, or start a new run with this one",
            "model",
        )


def _config(file: Path) -> dict[str, Any]:
    """The keys of a config.json that matter; empty if there is none, or it is no longer one."""
    try:
        said = typed.read_json(file, dict[str, Any])
    except typed.Damaged:
        return {}
    return {key: value for key, value in said.items() if key not in _OF_NO_MATTER}


def _noted(file: Path) -> str:
    """A hash that was noted in the run's folder; empty if there is none, or it is no longer one."""
    try:
        said = typed.read_text(file)
    except typed.Damaged:
        return ""
    return said if _HASH.fullmatch(said) else ""


def on_this_box(job: Job) -> Path:
    """The folder that `model_folder` has made or found. Nothing is fetched or converted."""
    return demo.folder() if job.model == "demo" else paths.expanded(job.model_folder)


def base_name(job: Job, folder: Path) -> str:
    """What an adapter names as its base: the hub id if the model is from the hub, otherwise the folder."""
    return str(folder) if own_base.is_made(job) else job.hub_id or str(folder)


def _downloaded(repository: str, pinned: Path, say: Callable[[str], None]) -> Path:
    from huggingface_hub import snapshot_download

    say(f"fetching {repository}, or what is missing of it, from the hub")
    revision = _noted(pinned) or None
    found = Path(snapshot_download(repository, revision=revision, allow_patterns=WANTED, ignore_patterns=UNWANTED))
    # The plan was made without the files.
    if revision is None and not local.read_folder(found, repository, name=repository).has_weights:
        raise UserError(f"{repository} has no weights in safetensors on the hub; give a model that has", "model")
    pinned.write_text(found.name, encoding="ascii")  # the name of a snapshot's folder is its commit
    return found
