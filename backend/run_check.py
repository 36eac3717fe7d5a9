"""Whether a run folder is whole: plan, events, versions, links, and the hashes of its checkpoints. Changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from backend import typed
from backend.doctor import Check
from backend.errors import UserError
from backend.run import events, history
from backend.run.folder import RunFolder
from backend.run.json_lines import Tail
from backend.units import counted

_COMPARED = ("fttui", "torch", "transformers", "peft", "bitsandbytes")


def checks(folder: RunFolder) -> list[Check]:
    """Check everything in `folder`; `missing` is what keeps the run from being resumed."""
    steps = sorted(path for path in folder.checkpoints.glob("step-*") if path.is_dir())
    found = [_checkpoint(path) for path in steps]
    is_over = history.read(folder.events_file).state == "done"
    return [
        _plan(folder),
        _events(folder),
        *_versions(folder),
        *_links(folder),
        *found,
        *_none_whole(folder, found, is_over),
        *_result(folder, is_over),
    ]


def _plan(folder: RunFolder) -> Check:
    try:
        job = folder.job()
    except UserError as error:
        return Check("plan.toml", "missing", str(error), f"restore {folder.plan_file} from a copy")
    return Check("plan.toml", "ok", f"{job.plan.method} of {job.model} on {job.data}")


def _events(folder: RunFolder) -> Check:
    if why := _unreadable(folder.events_file):
        return Check("events.jsonl", "missing", f"it can't be read: {why}", f"make {folder.events_file} readable")
    lines = list(Tail(folder.events_file).lines())
    damaged = len(lines) - len(events.decoded(b"\n".join(lines) + b"\n")) if lines else 0
    if damaged:
        detail = f"{damaged} of {counted(len(lines), 'line')} can't be read, and are passed over"
        return Check("events.jsonl", "warn", detail)
    return Check("events.jsonl", "ok" if lines else "warn", counted(len(lines), "event"))


def _unreadable(path: Path) -> str:
    """Why the file can't be opened, such as its permissions; empty if it can, or is not there."""
    try:
        if path.is_file():
            path.open("rb").close()
            return ""
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "it is not a file" if path.exists() else ""


def _versions(folder: RunFolder) -> Iterator[Check]:
    """Packages that differ from those that the run was made with."""
    for name, then in history.read(folder.events_file).started.versions.items():
        now = _installed(name) if name in _COMPARED else then
        if now != then:
            detail = f"the run was made with {then}, {now or 'none'} is installed"
            yield Check(name, "warn", detail, f"pip install '{name}=={then}'")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _links(folder: RunFolder) -> Iterator[Check]:
    """Links: what they lead to may be gone, or belong to somebody else."""
    for path in (*sorted(folder.path.glob("*")), *sorted(folder.checkpoints.glob("*"))):
        if path.is_symlink():
            where, leads = str(path.relative_to(folder.path)), f"it is a link to {path.readlink()}"
            yield Check(where, "warn", leads) if path.exists() else Check(where, "missing", f"{leads}, which is gone")


def _checkpoint(path: Path) -> Check:
    damage = _damage(path)
    if damage:
        return Check(path.name, "warn", f"damaged: {damage}")
    return Check(path.name, "ok", "all hashes match")


def _damage(path: Path) -> str:
    """What is wrong with a checkpoint; empty if nothing is."""
    try:
        hashes: dict[str, Any] = typed.read_json(path / "manifest.json", dict[str, Any]).get("sha256") or {}
        for name in ("weights.safetensors", "state.pt", *hashes):
            if name not in hashes:
                return f"manifest.json has no hash of {name}"
            with (path / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != hashes[name]:
                    return f"{name} has changed since it was written"
    except typed.Damaged as error:
        return f"manifest.json: {error}"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return getattr(error, "strerror", None) or "manifest.json is not as it was written"
    return ""


def _none_whole(folder: RunFolder, found: list[Check], is_over: bool) -> Iterator[Check]:
    if found and not is_over and all(check.state != "ok" for check in found):
        fix = f"fttui resume {folder.name} --from-start"
        yield Check("checkpoints", "missing", "none is whole: the run can't go on", fix)


def _result(folder: RunFolder, is_over: bool) -> Iterator[Check]:
    if is_over:
        there = folder.result.is_dir() and any(folder.result.iterdir())
        yield Check("result", "ok" if there else "missing", str(folder.result) if there else "it is gone")
