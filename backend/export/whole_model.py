"""The targets that hold the whole model: as transformers loads it (merged, MLX, Ollama), or as one GGUF."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import UserError
from backend.export import card, curve, merged, modelfile, place
from backend.export.gguf import families
from backend.export.gguf import write as gguf
from backend.export.gguf.write import Dtype
from backend.export.paced import paced
from backend.export.source import ExportSource, Say

_MERGED = ".merged"
"""The merged model while a GGUF is written from it."""
_NO_TEMPLATE = "TEMPLATE is left out: the chat template does not write turn by turn, and Ollama guesses one"
_QUANTISE = "for 4 bits: mlx_lm.convert --hf-path {folder} --mlx-path {folder}-4bit -q"


@dataclass(frozen=True)
class Options:
    """The user's options for an export."""

    check: bool = True
    """Compare a merged model with base and adapter."""
    dtype: Dtype | None = None
    """The number type of a GGUF; None for the one of the base's weights."""


@dataclass(frozen=True)
class Exported:
    """The export that was made."""

    folder: Path
    command: str
    """The next command to run."""
    notes: tuple[str, ...] = ()
    """Sentences about what is missing in it."""


def export(source: ExportSource, target: str, folder: Path, options: Options, say: Say) -> Exported:
    """Write `target` (a key of `WRITERS`) into `folder`. Raises UserError if that is not possible."""
    base = source.base_folder(say) if source.is_adapter else source.result
    holds_gguf = target in ("gguf", "lmstudio") or (target == "ollama" and options.dtype is not None)
    if holds_gguf:
        gguf.refuse(base, source.result)
    needed = merged.disk_bytes(source, base)
    place.refuse_small_disk(folder, 2 * needed if holds_gguf else needed)
    with place.whole(folder) as draft:
        made = WRITERS[target](source, base, draft, options, say)
    return made(folder)


Finished = Callable[[Path], Exported]
"""Called with the export's final folder to make the report."""


def _as_transformers(source: ExportSource, base: Path, draft: Path, options: Options, say: Say) -> Finished:
    merged.write(source, base, draft, say, check=options.check)
    return lambda folder: Exported(folder, f"vllm serve {shlex.quote(str(folder))}")


def _mlx(source: ExportSource, base: Path, draft: Path, options: Options, say: Say) -> Finished:
    """MLX reads transformers' own folders; its 4-bit form is made on a Mac."""
    merged.write(source, base, draft, say, check=options.check)

    def done(folder: Path) -> Exported:
        said = shlex.quote(str(folder))
        return Exported(folder, f"mlx_lm.chat --model {said}", (_QUANTISE.format(folder=said),))

    return done


def _ollama(source: ExportSource, base: Path, draft: Path, options: Options, say: Say) -> Finished:
    """A Modelfile and the weights: transformers' folder, which Ollama converts, or a GGUF if a type is given."""
    if options.dtype is None:
        merged.write(source, base, draft, say, check=options.check)
        made = modelfile.write(source.tokenizer, draft)
    else:
        made = modelfile.of(source.tokenizer, f"./{file_name(source, options.dtype)}")
        begins = bool(made.pieces.begin) if made.pieces else None
        _write_gguf(source, base, draft, options, say, begins)
        (draft / modelfile.NAME).write_text(made.text, encoding="utf-8")

    def done(folder: Path) -> Exported:
        command = f"cd {shlex.quote(str(folder))} && ollama create {plain_name(source)} -f {modelfile.NAME}"
        return Exported(folder, command, () if made.pieces else (_NO_TEMPLATE,))

    return done


def _gguf(source: ExportSource, base: Path, draft: Path, options: Options, say: Say) -> Finished:
    name = _write_gguf(source, base, draft, options, say)
    notes = families.not_kept(families.config_of(base))
    return lambda folder: Exported(folder, shlex.join(["llama-server", "-m", str(folder / name)]), notes)


def _lmstudio(source: ExportSource, base: Path, draft: Path, options: Options, say: Say) -> Finished:
    name = _write_gguf(source, base, draft, options, say)
    words = ["lms", "import", "--yes", "--copy", "--user-repo", f"fttui/{plain_name(source)}"]
    notes = families.not_kept(families.config_of(base))
    return lambda folder: Exported(folder, shlex.join([*words, str(folder / name)]), notes)


WRITERS: dict[str, Callable[[ExportSource, Path, Path, Options, Say], Finished]] = {
    "merged": _as_transformers,
    "mlx": _mlx,
    "ollama": _ollama,
    "gguf": _gguf,
    "lmstudio": _lmstudio,
}


def _write_gguf(
    source: ExportSource, base: Path, draft: Path, options: Options, say: Say, begins: bool | None = None
) -> str:
    """Merge into a folder beside the export, write GGUF and card from that, and return the file's name."""
    whole = draft / _MERGED
    whole.mkdir()
    merged.write(source, base, whole, say, check=options.check)
    dtype = options.dtype or gguf.stored_type(whole)
    name = file_name(source, dtype)
    say(f"writing {name}")
    tell = paced(say, "written {done:,} of {total:,} tensors")
    gguf.model(source, whole, draft / name, dtype, begins=begins, tell=tell)
    for path in (whole / card.FILE, whole / curve.FILE):
        if path.is_file():
            shutil.move(path, draft / path.name)
    shutil.rmtree(whole)
    return name


def export_adapter(source: ExportSource, folder: Path, say: Say) -> Exported:
    """The adapter alone as GGUF. Raises UserError for a full run."""
    if not source.is_adapter:
        raise UserError("a full fine-tuning has no adapter; leave out --adapter", "adapter")
    base = source.base_folder(say)
    gguf.refuse(base, source.result)
    name = f"{plain_name(source)}-adapter.gguf"
    with place.whole(folder) as draft:
        gguf.adapter(source, base, draft / name)
        card.write(source, "", draft)
    command = shlex.join(["llama-server", "-m", "BASE.gguf", "--lora", str(folder / name)])
    return Exported(folder, command, ("BASE.gguf is a GGUF of the base, which is not part of this export",))


def file_name(source: ExportSource, dtype: Dtype) -> str:
    """The GGUF's name."""
    return f"{plain_name(source)}-{dtype.upper()}.gguf"


def plain_name(source: ExportSource) -> str:
    """A name that every program takes: letters, digits, and `-_.` after the first."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in source.folder.name)
    return kept.strip("-_.").lower() or "model"
