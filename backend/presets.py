"""Presets as files: plan fields at the top, the job's answers under [job], what was planned for a box under [made_for].

Shipped ones are not overwritten; comments in the user's own stay.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from backend import atomic, paths, preset_text, suggest, typed
from backend.answers import Answers
from backend.errors import UserError, wont_do
from backend.plan import fields
from backend.plan.plan import EXECUTION
from backend.plan.preset import Preset
from backend.planner import fit
from backend.planner.estimates import Comparison, MethodEstimate
from backend.preset_text import JOB_TYPES, PresetError

PER_BOX = (*EXECUTION, "attention", "kernels", "measure_kernels", "precision", "processes", "quantization")
"""Plan fields that belong to a box rather than to a job: a preset leaves them open unless the user set them."""


@dataclass(frozen=True)
class Broken:
    """A preset file that can't be used, and why; the others still can."""

    name: str
    path: Path
    reason: str
    line: int | None = None
    """The line at fault, from 1, if there is one."""


def listing() -> list[Preset | Broken]:
    """All presets: the user's own, then the shipped ones, then files that are broken, each with its reason."""
    found: list[Preset | Broken] = []
    for path in _files():
        try:
            found.append(_read(path))
        except PresetError as error:
            found.append(Broken(path.stem, path, str(error), error.line))
    return sorted(found, key=lambda one: isinstance(one, Broken))


def names() -> list[str]:
    """Names of the presets, broken ones included."""
    return [path.stem for path in _files()]


def load(name: str) -> Preset:
    """The preset called `name`, or in the file `name`. Raises UserError with the nearest name, or the line at fault."""
    path = paths.existing(name, "preset")
    if path is not None and path.suffix == ".toml" and path.is_file():
        return _read(path)
    for known in _files():
        if known.stem == name:
            return _read(known)
    raise UserError(f"no preset is called {name!r}; {suggest.hint(name, names(), alike=0.6)}", "preset")


def save(name: str, description: str, answers: Answers, estimate: MethodEstimate, device: str = "") -> Path:
    """Write the plan of `estimate` and `answers` as the user's preset `name` and return its path.

    What belongs to this box (micro-batch, checkpointing ...) is kept open unless the user set it, so that another box
    plans it anew; [made_for] says what it was for `device`. Comments of an existing file stay.
    Raises UserError for a name that is taken by a shipped preset or is no file name.
    """
    plan = dataclasses.asdict(estimate.plan)
    open_fields = {key for key in PER_BOX if estimate.origin.get(key) != "you"}
    if estimate.origin.get("max_grad_norm") == fit.CHOSEN:  # it was chosen together with optimizer_in_backward
        open_fields.add("max_grad_norm")
    own = {key: value for key, value in dataclasses.asdict(answers).items() if key in JOB_TYPES}
    job = {key: list(x) if isinstance(x, tuple) else x for key, x in own.items() if x not in (None, "", ())}
    target = _own(name)
    document = _document(target)
    _update(document, {"description": description, **{key: plan[key] for key in plan if key not in open_fields}})
    _update(_table(document, "job"), job)
    if device:
        _update(_table(document, "made_for"), {"device": device, **{key: plan[key] for key in PER_BOX}})
    return write(name, tomlkit.dumps(document))


def copy(name: str, new: str) -> Path:
    """Copy the preset `name`, own or shipped, with its comments to an own one called `new`, which must not exist."""
    text = typed.read_text(load(name).path)
    with paths.kept_in(_own(new)):
        is_there = _own(new).exists()
    if is_there:
        raise UserError(f"you have a preset {new!r} already; take another name", "preset")
    return write(new, text)


def write(name: str, text: str) -> Path:
    """Write `text` as the user's own preset `name`, if it is valid. Raises UserError (PresetError with its line)."""
    target = _own(name)
    preset_text.parse(name, text)
    with paths.kept_in(target):
        atomic.write(target, text, through_link=True)
    return target


def delete(name: str) -> None:
    """Delete the user's own preset `name`, a broken one too."""
    target = _own(name)
    with paths.kept_in(target):
        is_there = target.exists()
    if not is_there:
        raise UserError(f"you have no preset {name!r}", "preset")
    with paths.kept_in(target):
        target.unlink()


def changes(preset: Preset, comparison: Comparison, estimate: MethodEstimate) -> str:
    """What is planned differently here than on the box that a preset was made for, as a sentence; empty for nothing."""
    if preset.made_for.get("device") in (None, comparison.device.label):
        return ""
    changed = [
        f"{key} {fields.text(getattr(estimate.plan, key))} instead of {fields.text(value)}"
        for key, value in preset.made_for.items()
        if key != "device" and key not in preset.plan and getattr(estimate.plan, key) != value
    ]
    return (
        f"Preset {preset.name} was made for {preset.made_for['device']} and is planned anew for "
        f"{comparison.device.label}: {', '.join(changed) or 'nothing changes'}."
    )


def merged(preset: Preset, answers: Answers) -> Answers:
    """The preset's answers, overridden by those of the user (a field at its default counts as not given).

    Data and the sizes of data that is not there yet replace each other.
    """
    given = {
        field.name: getattr(answers, field.name)
        for field in dataclasses.fields(Answers)
        if getattr(answers, field.name) != getattr(Answers(), field.name)
    }
    sizes = {"rows", "row_tokens"}
    replaced = sizes if "data" in given else {"data"} if sizes & given.keys() else set()
    job = {key: value for key, value in preset.job.items() if key not in replaced}
    return dataclasses.replace(Answers(), **{**job, **given})


def _files() -> list[Path]:
    try:
        own = sorted(paths.own_presets().glob("*.toml"))
    except OSError:  # a closed home: the shipped ones are there
        own = []
    return [*own, *sorted(paths.SHIPPED_PRESETS.glob("*.toml"))]


def _read(path: Path) -> Preset:
    try:
        text = typed.read_text(path)
    except typed.Damaged as error:
        raise PresetError(f"preset {path.stem} can't be read: {error}", None) from None
    parts = preset_text.parse(path.stem, text)
    shipped = path.parent == paths.SHIPPED_PRESETS
    return Preset(path.stem, parts.description, parts.plan, parts.job, path, shipped, parts.made_for)


def _own(name: str) -> Path:
    """The file of the user's preset `name`. Raises UserError if that is no name, or a shipped one's."""
    if not re.fullmatch(r"[a-zA-Z0-9][\w.-]{0,60}", name):
        raise wont_do("preset", name, "a name of letters, digits, - and _")
    if (paths.SHIPPED_PRESETS / f"{name}.toml").exists():
        raise UserError(f"{name!r} is a shipped preset and stays as it is; take another name", "preset")
    return paths.own_presets() / f"{name}.toml"


def _document(path: Path) -> tomlkit.TOMLDocument:
    """The file's TOML with its comments; empty if there is no file, or none that can be read."""
    try:
        with typed.faults():
            text = typed.read_text(path)
            typed.refuse_long_keys(text)
            return tomlkit.parse(text)
    except typed.Damaged:
        return tomlkit.document()


def _table(document: tomlkit.TOMLDocument, name: str) -> Any:
    if name not in document:
        document[name] = tomlkit.table()
    return document[name]


def _update(table: Any, values: Mapping[str, Any]) -> None:
    """Make `table` hold exactly these values, beside its tables; comments of keys that stay are kept."""
    for key in [key for key, value in table.items() if key not in values and not isinstance(value, dict)]:
        del table[key]
    for key, value in values.items():
        if key not in table or table[key] != value:
            table[key] = value
