"""The weights with the lowest held-out loss, which `keep = best` saves: in a checkpoint of that step, or alone.

`checkpoints/best-00000120/` holds the trainable weights of one step, without the optimizer's states. It is written only
if no checkpoint of that step is due, and stays until a checkpoint knows of a better one.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend import typed
from backend.training.saving import checkpoint, disk
from backend.training.saving.checkpoint import MANIFEST, WEIGHTS, Manifest

_NAME = re.compile(r"best-(\d{8,})")


def write(folder: Path, step: int, weights: dict[str, Tensor], eval_loss: float) -> None:
    """Write the weights of `step` into `folder`, completely or not at all. Raises DiskFull and OSError."""
    draft = folder / f".best-{step:08d}"
    with disk.draft(draft, sum(x.nbytes for x in weights.values())):
        save_file({name: x.detach().contiguous() for name, x in weights.items()}, draft / WEIGHTS)
        manifest = Manifest(step=step, sha256={WEIGHTS: checkpoint.sha256(draft / WEIGHTS)}, eval_loss=eval_loss)
        (draft / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        checkpoint.replace_folder(draft, folder / f"best-{step:08d}")


def read(folder: Path, step: int) -> dict[str, Tensor] | None:
    """The trainable weights of `step` in host memory, from whichever folder has them undamaged; None if none has."""
    for path in (folder / f"best-{step:08d}", folder / f"step-{step:08d}"):
        try:
            manifest = typed.read_json(path / MANIFEST, Manifest)
            if manifest.sha256.get(WEIGHTS) == checkpoint.sha256(path / WEIGHTS):
                return load_file(path / WEIGHTS)
        except (typed.Damaged, OSError):
            continue
    return None


def prune(folder: Path, step: int) -> None:
    """Delete the weights of all steps but `step`; nothing if `folder` is a link."""
    if folder.is_symlink():
        return
    for path in folder.glob("best-*"):
        name = _NAME.fullmatch(path.name)
        if name and int(name[1]) != step and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
