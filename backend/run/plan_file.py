"""plan.toml of a run folder <-> `Job`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import tomlkit

from backend import kept_names, typed
from backend.errors import UserError
from backend.plan.job import Job


def write(path: Path, job: Job) -> None:
    """Write `job` as TOML; open (None) fields are left out, as TOML has no null."""
    path.write_text(tomlkit.dumps(kept_names.outside(_without_none(asdict(job)))), encoding="utf-8")


def read(path: Path) -> Job:
    """The job of a run folder. Raises UserError that names the file and what is wrong."""
    try:
        return typed.convert(kept_names.inside(tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()), Job)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: this folder is no run") from None
    except (tomlkit.exceptions.ParseError, msgspec.ValidationError) as error:
        raise UserError(f"{path} can't be read: {error}") from None


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value
