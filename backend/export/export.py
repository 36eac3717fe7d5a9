"""Export a run: check first, write the target into a new folder, name the next command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from backend.export import axolotl, llamafactory, merged, modelfile, place, rows, trl, vllm, yaml_text
from backend.export.recipe import Recipe
from backend.export.source import ExportSource, Say

Target = Literal["merged", "ollama", "vllm", "trl", "axolotl", "llamafactory"]
TRAINERS = {"trl": trl, "axolotl": axolotl, "llamafactory": llamafactory}


@dataclass(frozen=True)
class Exported:
    """The export that was made."""

    folder: Path
    command: str
    """The next command to run."""
    notes: tuple[str, ...] = ()
    """Sentences about what is missing in it."""


def export(source: ExportSource, target: Target, out: Path | None, say: Say, *, check: bool = True) -> Exported:
    """Write `target` into `out`, by default the run's own `export/<target>`, complete or not at all.

    `check` compares a merged model with base and adapter. Raises UserError if that is not possible: files are there,
    the disk or the memory is too small, the base is gone or can't be merged into.
    """
    folder = (out.expanduser() if out else source.folder.path / "export" / target).resolve()
    place.refuse_occupied(folder)
    if target == "vllm":
        return _vllm(source, folder)
    if target in TRAINERS:
        return _config(source, TRAINERS[target], folder, say)
    base = source.base_folder(say) if source.is_adapter else source.result
    place.refuse_small_disk(folder, merged.disk_bytes(source, base))
    with place.whole(folder) as draft:
        merged.write(source, base, draft, say, check=check)
        made = modelfile.write(source.tokenizer, draft) if target == "ollama" else None
    if made is None:
        return Exported(folder, f"vllm serve {shlex.quote(str(folder))}")
    left_out = "TEMPLATE is left out: the chat template does not write turn by turn, and Ollama guesses one"
    command = f"cd {shlex.quote(str(folder))} && ollama create {_name(source)} -f {modelfile.NAME}"
    return Exported(folder, command, () if made.pieces else (left_out,))


def _vllm(source: ExportSource, folder: Path) -> Exported:
    with place.whole(folder) as draft:
        vllm.write(source, draft)
    return Exported(folder, shlex.join(vllm.command(source)))


def _config(source: ExportSource, trainer: ModuleType, folder: Path, say: Say) -> Exported:
    with place.whole(folder) as draft:
        recipe = Recipe(source, rows.write(source, draft, say, pairs=trainer.PAIRS))
        text = yaml_text.document([*trainer.comments(recipe)], trainer.settings(recipe))
        (draft / trainer.FILE).write_text(text, encoding="utf-8")
        if trainer is llamafactory:
            llamafactory.list_data(recipe, draft)
    return Exported(folder, f"cd {shlex.quote(str(folder))} && {trainer.COMMAND}")


def _name(source: ExportSource) -> str:
    """A model's name for Ollama: letters, digits, and `-_.` after the first."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in source.folder.name)
    return kept.strip("-_.").lower() or "model"
