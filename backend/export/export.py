"""Export a run: check first, write the target into a new folder, name the next command."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from backend import paths, yaml_text
from backend.errors import UserError
from backend.export import axolotl, llamafactory, place, rows, sglang, trl, vllm, whole_model
from backend.export.gguf.write import Dtype
from backend.export.recipe import Recipe
from backend.export.source import ExportSource, Say
from backend.export.whole_model import Exported, Options

Target = Literal["merged", "ollama", "vllm", "sglang", "gguf", "mlx", "lmstudio", "trl", "axolotl", "llamafactory"]
TARGETS: tuple[Target, ...] = get_args(Target)
TRAINERS = {"trl": trl, "axolotl": axolotl, "llamafactory": llamafactory}
SERVERS = {"vllm": vllm, "sglang": sglang}


def export(
    source: ExportSource,
    target: Target,
    out: Path | None,
    say: Say,
    *,
    check: bool = True,
    dtype: Dtype | None = None,
    adapter: bool = False,
) -> Exported:
    """Write `target` into `out`, by default the run's own `export/<target>`, completely or not at all.

    `check` compares a merged model with base and adapter; `dtype` is the number type of a GGUF, and `adapter` leaves
    the base out of it. Raises UserError if that is not possible: files are there, the disk or the memory is too small,
    the base is gone or can't be merged into.
    """
    _refuse_options(target, dtype, adapter)
    folder = (paths.expanded(out) if out else source.folder.path / "export" / target).resolve()
    place.refuse_occupied(folder)
    if target in SERVERS:
        return _server(source, SERVERS[target], folder)
    if target in TRAINERS:
        return _config(source, TRAINERS[target], folder, say)
    if adapter:
        return whole_model.export_adapter(source, folder, say)
    return whole_model.export(source, target, folder, Options(check, dtype), say)


def _refuse_options(target: Target, dtype: Dtype | None, adapter: bool) -> None:
    if dtype and target not in ("gguf", "lmstudio", "ollama"):
        raise UserError(
            f"--dtype {dtype} is for --to gguf, lmstudio and ollama, not for {target}; leave it out", "dtype"
        )
    if adapter and (target != "gguf" or dtype):
        fix = "leave out --dtype: an adapter is kept in float32" if target == "gguf" else "use --to gguf --adapter"
        raise UserError(f"--adapter is for --to gguf alone; {fix}", "adapter")


def _server(source: ExportSource, server: ModuleType, folder: Path) -> Exported:
    with place.whole(folder) as draft:
        server.write(source, draft)
    return Exported(folder, shlex.join(server.command(source)))


def _config(source: ExportSource, trainer: ModuleType, folder: Path, say: Say) -> Exported:
    if source.plan.objective != "sft":
        raise UserError(
            f"a run with objective {source.plan.objective} can't be exported as another trainer's config: only sft is "
            "written so far; its result exports to every other target",
            "to",
        )
    if source.plan.replay_fraction:
        say("the general rows that were mixed in (replay_fraction) are not among the exported rows")
    with place.whole(folder) as draft:
        recipe = Recipe(source, rows.write(source, draft, say, pairs=trainer.PAIRS))
        text = yaml_text.document([*trainer.comments(recipe)], trainer.settings(recipe))
        (draft / trainer.FILE).write_text(text, encoding="utf-8")
        if trainer is llamafactory:
            llamafactory.list_data(recipe, draft)
    return Exported(folder, f"cd {shlex.quote(str(folder))} && {trainer.COMMAND}")
