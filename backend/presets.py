"""Presets <-> TOML: plan fields at the top, the job's answers under [job]. Shipped ones are not overwritten."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import tomlkit
from tomlkit.exceptions import ParseError

from backend import paths
from backend.answers import Answers
from backend.errors import UserError
from backend.planner import fields
from backend.planner.outlook import Outlook

PER_BOX = (
    *("micro_batch", "checkpointing", "chunked_loss", "optimizer", "optimizer_in_backward", "activation_offload"),
    *("attention", "precision", "processes", "quantization", "weights_dtype"),
)
"""Plan fields that belong to a box rather than to a job: a preset leaves them open unless the user set them."""
_JOB_TYPES = {name: kind for name, kind in get_type_hints(Answers).items() if name != "set"}


@dataclass(frozen=True)
class Preset:
    """A named start: plan fields that are kept, and answers that are defaults."""

    name: str
    description: str
    plan: Mapping[str, Any]
    job: Mapping[str, Any]
    path: Path
    shipped: bool


@dataclass(frozen=True)
class Broken:
    """A preset file that can't be used, and why; it harms no other."""

    name: str
    path: Path
    reason: str


def listing() -> list[Preset | Broken]:
    """All presets, the user's own first; a broken file is listed with its reason."""
    found: list[Preset | Broken] = []
    for path in _files():
        try:
            found.append(_read(path))
        except UserError as error:
            found.append(Broken(path.stem, path, str(error)))
    return found


def names() -> list[str]:
    """Names of the presets, broken ones included."""
    return [path.stem for path in _files()]


def load(name: str) -> Preset:
    """The preset called `name`, or in the file `name`. Raises UserError with the nearest name, or the line at fault."""
    path = Path(name).expanduser()
    if path.suffix == ".toml" and path.is_file():
        return _read(path)
    for known in _files():
        if known.stem == name:
            return _read(known)
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names())}"
    raise UserError(f"no preset is called {name!r}; {hint}", "preset")


def save(name: str, description: str, answers: Answers, outlook: Outlook) -> Path:
    """Write the plan of `outlook` and `answers` as the user's preset `name` and return its path.

    What belongs to this box (micro-batch, checkpointing ...) is left open unless the user set it, so that another box
    plans it anew. Raises UserError for a name that is taken by a shipped preset or is no file name.
    """
    if not re.fullmatch(r"[a-zA-Z0-9][\w.-]{0,60}", name):
        raise UserError(f"preset name {name!r} won't do; it takes letters, digits, - and _", "preset")
    if (_shipped_folder() / f"{name}.toml").exists():
        raise UserError(f"{name!r} is a shipped preset and stays as it is; take another name", "preset")
    document = tomlkit.document()
    document["description"] = description
    for key, value in dataclasses.asdict(outlook.plan).items():
        if key not in PER_BOX or outlook.origin.get(key) == "you":
            document[key] = value
    document["job"] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(answers).items()
        if key in _JOB_TYPES and value not in (None, "", ())
    }
    path = paths.own_presets() / f"{name}.toml"
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return path


def merged(preset: Preset, answers: Answers) -> Answers:
    """The preset's answers, with what the user gave on top (a field at its default counts as not given)."""
    given = {
        field.name: getattr(answers, field.name)
        for field in dataclasses.fields(Answers)
        if getattr(answers, field.name) != getattr(Answers(), field.name)
    }
    return dataclasses.replace(Answers(), **{**preset.job, **given})


def _shipped_folder() -> Path:
    return paths.SHIPPED / "recipes"


def _files() -> list[Path]:
    return [*sorted(paths.own_presets().glob("*.toml")), *sorted(_shipped_folder().glob("*.toml"))]


def _read(path: Path) -> Preset:
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except (ParseError, UnicodeDecodeError) as error:
        raise UserError(f"preset {path.name} can't be read: {error}", "preset") from None
    description = document.pop("description", "")
    job = document.pop("job", {})
    plan = {key: fields.parse(key, value) for key, value in document.items()}
    return Preset(
        name=path.stem,
        description=str(description),
        plan=plan,
        job={key: _job_value(path, key, value) for key, value in job.items()},
        path=path,
        shipped=path.parent == _shipped_folder(),
    )


def _job_value(path: Path, key: str, value: object) -> Any:
    if key not in _JOB_TYPES:
        near = difflib.get_close_matches(key, _JOB_TYPES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(_JOB_TYPES)}"
        raise UserError(f"preset {path.name}: [job] has no {key!r}{hint}", "preset")
    try:
        return msgspec.convert(value, _JOB_TYPES[key])
    except msgspec.ValidationError as error:
        raise UserError(f"preset {path.name}: [job] {key}: {value!r} won't do: {error}", "preset") from None
