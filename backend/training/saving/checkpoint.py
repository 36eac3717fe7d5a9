"""Checkpoints: complete or absent. Written under a temporary name, synced, then renamed; a hash for every file.

A checkpoint holds the trainable weights, and a state from which training goes on exactly: optimizer, loss scale,
random generators, and the step (which rows come next follows from step and seed). With several ranks each has a state
of its own, which another number of them can take over (optim/resharding.py); the weights are saved once, unsharded.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend import typed
from backend.training.saving import disk

MANIFEST, WEIGHTS, STATE = "manifest.json", "weights.safetensors", "state.pt"
_NAME = re.compile(r"step-\d{8,}")


class Manifest(msgspec.Struct, frozen=True):
    """What a checkpoint consists of."""

    step: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    sha256: dict[str, str]
    """File name -> hash."""
    eval_loss: float | None = None
    """Held-out loss at this very step, if one was taken."""
    ranks: Annotated[int, msgspec.Meta(ge=1, le=2**16)] = 1
    """How many ranks there were; each has a state of its own."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk."""

    path: Path
    manifest: Manifest

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file.stat().st_size for file in self.path.iterdir())

    def weights(self) -> dict[str, Tensor]:
        """The trainable parameters by name, in host memory."""
        return load_file(self.path / WEIGHTS)

    def state(self, rank: int = 0) -> dict[str, Any]:
        """The state of `rank`; a rank that did not exist gets that of the last one."""
        return self._state(min(rank, self.manifest.ranks - 1), mmap=False)

    def states(self) -> list[dict[str, Any]]:
        """The states of all ranks, which are read from the disk as they are used."""
        return [self._state(rank, mmap=True) for rank in range(self.manifest.ranks)]

    def _state(self, rank: int, *, mmap: bool) -> dict[str, Any]:
        file = self.path / _state_name(rank)
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
        return state

    def damage(self) -> str | None:
        """What is wrong with its files; None if all hashes match."""
        hashes = self.manifest.sha256
        for name in (WEIGHTS, STATE):
            if name not in hashes:
                return f"{MANIFEST} has no hash of {name}"
        try:
            return next((damage for name in hashes if (damage := self._damage_of(name))), None)
        except (OSError, ValueError) as error:  # a disk that fails; a name that can't be a file's
            return f"its files can't be read: {error}"

    def _damage_of(self, name: str) -> str | None:
        file = self.path / name
        if not file.is_file():
            return f"{name} is missing"
        return f"{name} has changed since it was written" if sha256(file) != self.manifest.sha256[name] else None


def write_part(folder: Path, step: int, rank: int, state: dict[str, Any]) -> None:
    """Write the state of another rank than the first, for `write` to include. Raises DiskFull and OSError."""
    with disk.room(folder, _bytes(state)), _part(folder, step, rank).open("wb") as file:
        torch.save(state, file)


@contextmanager
def own_part(folder: Path, step: int, rank: int) -> Iterator[None]:
    """Remove a rank's part at the end, unless `write` has moved it into the checkpoint."""
    try:
        yield
    finally:
        _part(folder, step, rank).unlink(missing_ok=True)


def write(
    folder: Path,
    step: int,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    eval_loss: float | None,
    ranks: int = 1,
) -> Checkpoint:
    """Write the checkpoint of `step` into `folder`; it replaces one of the same step. Raises DiskFull and OSError.

    `ranks`: their number; all but the first have written their parts. Newer checkpoints are removed: training resumes
    from an older one only if they are damaged.
    """
    final = folder / f"step-{step:08d}"
    draft = folder / f".writing-{step:08d}"
    with disk.draft(draft, _bytes(weights) + _bytes(state)):
        save_file({name: x.detach().contiguous() for name, x in weights.items()}, draft / WEIGHTS)
        with (draft / STATE).open("wb") as file:  # given a path, torch hides the system's errors
            torch.save(state, file)
        for rank in range(1, ranks):
            _part(folder, step, rank).rename(draft / _state_name(rank))
        hashes = {path.name: sha256(path) for path in draft.iterdir()}
        manifest = Manifest(step=step, sha256=hashes, eval_loss=eval_loss, ranks=ranks)
        (draft / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        _sync(*draft.iterdir(), draft)
        _replace(draft, final)
    for path in _all(folder):
        if path.name > final.name and _is_ours(path):
            shutil.rmtree(path)
    return Checkpoint(final, manifest)


def replace_folder(draft: Path, final: Path) -> None:
    """Sync the files of `draft`, then let it replace `final`."""
    _sync(*(path for path in draft.rglob("*")), draft)
    _replace(draft, final)


def every(folder: Path) -> list[Checkpoint]:
    """Checkpoints whose manifest can be read, the oldest first."""
    found = []
    for path in _all(folder):
        try:
            found.append(Checkpoint(path, typed.read_json(path / MANIFEST, Manifest)))
        except typed.Damaged:
            continue
    return found


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest good checkpoint, and a sentence for each damaged one that was skipped."""
    skipped: list[str] = []
    readable = {checkpoint.path: checkpoint for checkpoint in every(folder)}
    for path in reversed(_all(folder)):
        checkpoint = readable.get(path)
        damage = checkpoint.damage() if checkpoint else f"{MANIFEST} can't be read"
        if damage is None:
            return checkpoint, skipped
        skipped.append(f"checkpoint {path.name} is damaged ({damage}); an older one is used if there is one")
    return None, skipped


def _all(folder: Path) -> list[Path]:
    """The folders of checkpoints, the oldest first. Folders with other names are not ours."""
    return sorted(path for path in folder.glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir())


def prune(folder: Path, keep: int, best_step: int = -1) -> None:
    """Delete all but the newest `keep` checkpoints and the one with the lowest held-out loss; drafts too.

    `best_step`: the step of the lowest held-out loss of the whole run, of which there may be a checkpoint. If
    `folder` is a symbolic link, nothing is deleted: its target is not ours.
    """
    if folder.is_symlink():
        return
    for draft in folder.glob(".*-????????"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    known = every(folder)
    kept = {checkpoint.path for checkpoint in known[-keep:]}
    kept |= {checkpoint.path for checkpoint in [best(folder)] if checkpoint}
    for checkpoint in known:
        if checkpoint.manifest.step == best_step:
            continue
        if checkpoint.path not in kept and _is_ours(checkpoint.path):
            shutil.rmtree(checkpoint.path)


def _is_ours(path: Path) -> bool:
    """Whether no symbolic link on its path leads out of the run's folder."""
    return not path.is_symlink() and not path.parent.is_symlink()


def best(folder: Path) -> Checkpoint | None:
    """The checkpoint with the lowest held-out loss; None if none was evaluated."""
    evaluated = [(x.manifest.eval_loss, x.path, x) for x in every(folder) if x.manifest.eval_loss is not None]
    return min(evaluated)[2] if evaluated else None


def _state_name(rank: int) -> str:
    return f"state-{rank}.pt" if rank else STATE


def _part(folder: Path, step: int, rank: int) -> Path:
    return folder / f".rank-{rank}-{step:08d}"


def _bytes(value: object) -> int:
    """Size of the tensors in `value`, nested dictionaries and lists."""
    if isinstance(value, Tensor):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(_bytes, parts))


def _replace(draft: Path, final: Path) -> None:
    """Rename `draft` to `final`, atomically if `final` is new; an old one is renamed first."""
    aside = final.with_name(f".old-{draft.name[-8:]}")
    shutil.rmtree(aside, ignore_errors=True)
    if final.exists():
        final.rename(aside)
    draft.rename(final)
    _sync(final.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _sync(*paths: Path) -> None:
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def sha256(path: Path) -> str:
    """The hash of a file, as manifests have it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
