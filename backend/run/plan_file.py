"""plan.toml of a run folder <-> `Job`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import tomlkit

from backend import atomic, flat_toml, kept_names, typed
from backend.errors import UserError
from backend.plan import fields
from backend.plan.job import Job


def write(path: Path, job: Job) -> None:
    """Write `job` as TOML."""
    atomic.write(path, text(job))


def text(job: Job) -> str:
    """`job` as TOML; open (None) fields are left out, as TOML has no null."""
    return tomlkit.dumps(kept_names.outside(_without_none(asdict(job))))


def read(path: Path) -> Job:
    """The job of a run folder. Raises UserError that names the file and what is wrong."""
    try:
        with typed.faults():
            said = typed.read_text(path)
            values = flat_toml.read(said)
            job = typed.convert(kept_names.inside(typed.plain_toml(said) if values is None else values), Job)
            _refuse_beyond_measure(job)
            return job
    except typed.Missing:
        raise UserError(f"{path} is missing: this folder is no run") from None
    except typed.Damaged as error:
        raise UserError(f"{path} can't be read: {error}") from None


def _refuse_beyond_measure(job: Job) -> None:
    """Raise Damaged for values that no command writes: an unknown kind of device, numbers that never end training."""
    if job.device not in ("cpu", "cuda"):
        raise typed.Damaged(f"device is {job.device[:50]!r}, and only cpu and cuda train")
    for key, value in vars(job.plan).items():
        if isinstance(value, int | float) and not abs(value) <= fields.LARGEST:
            raise typed.Damaged(f"{key} in [plan] is {value:g}, which is more than {fields.LARGEST:,}")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value
