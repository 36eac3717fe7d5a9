"""`fttui export`: a run's result in a form that other programs load, serve or continue to train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backend.errors import STOPPED
from backend.export import source
from backend.export.export import Target
from backend.export.export import export as write
from backend.export.gguf.write import Dtype
from tui.plain import plain

Flag = Annotated[bool, Parameter(negative=())]


def export(
    run: str | None = None,
    *,
    to: Target,
    out: Path | None = None,
    dtype: Dtype | None = None,
    adapter: Flag = False,
    unchecked: Flag = False,
    push: str | None = None,
) -> int:
    """Export a finished run: as a whole model, for a server, or as another trainer's config.

    For example:

        fttui export --to merged
        fttui export 20261124-101500-demo-lora --to ollama --out ./for-ollama
        fttui export --to gguf --dtype q8_0
        fttui export --to trl    # its plan for another trainer: also axolotl, llamafactory
        fttui export --to merged --push me/my-model

    Args:
        run: The run's name or a part of it; by default the latest one with a result.
        to: merged: the adapter merged into the base's own weights, never into 4-bit ones; mlx: that, as MLX reads it;
            ollama: that with a Modelfile; gguf: the whole model in one file for llama.cpp; lmstudio: that, to be
            imported by LM Studio; vllm, sglang: the command that serves the result; trl, axolotl, llamafactory: the
            run as that trainer's config, with its rows.
        out: A new folder to write to; by default export/TARGET in the run's folder.
        dtype: The number type of a GGUF (gguf, lmstudio, ollama): f16, bf16 or q8_0; by default that of the base.
        adapter: With gguf: the adapter alone, for a GGUF of the base.
        unchecked: Do not load the merged model to compare it with base and adapter.
        push: Upload the export to this repository of the hub, USER/NAME, which is made private if it is new. The
            token is the one of `hf auth login` or HF_TOKEN.
    """
    if push is not None:
        from backend.export import hub

        hub.refuse(push, to)
    try:
        done = write(source.find(run), to, out, _say, check=not unchecked, dtype=dtype, adapter=adapter)
    except KeyboardInterrupt:
        _say("stopped; nothing was written")
        return STOPPED
    for note in done.notes:
        _say(note)
    print(plain(str(done.folder), lines=False))
    print(plain(f"next: {done.command}", lines=False))
    if push is not None:
        print(plain(hub.push(done.folder, push, _say), lines=False))
    return 0


def _say(text: str) -> None:
    print(plain(text, lines=False), file=sys.stderr)
