"""The command that serves a result with vLLM."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from backend.errors import UserError
from backend.export import serving
from backend.export.source import ExportSource

SCRIPT = "serve.sh"
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values of `--max-lora-rank`, except 1 (vllm/config/lora.py, v0.27.1, read August 2026)."""


def command(source: ExportSource) -> list[str]:
    """The command, word by word. Raises UserError if vLLM serves no adapter of this rank."""
    if not source.is_adapter:
        return ["vllm", "serve", str(source.result), "--served-model-name", source.folder.name]
    template = source.result / "chat_template.jinja"
    said = ["--chat-template", str(template)] if template.is_file() else []
    adapter = f"{source.folder.name}={source.result}"
    serving.refuse_more_than_matrices(source, "vLLM")
    rank = ["--max-lora-rank", str(_largest_rank(source.plan.rank))]
    return ["vllm", "serve", source.base, "--enable-lora", *rank, "--lora-modules", adapter, *said]


def script(source: ExportSource) -> str:
    """The command as a shell script."""
    words = command(source)
    lines = ["#!/bin/sh"]
    if source.is_adapter:
        lines.append(f'# A request asks for the adapter by its name: "model": {json.dumps(source.folder.name)}')
    if source.job.plan.method == "qlora":
        lines.append("# It was trained over 4-bit weights and is served over the 16-bit ones here;")
        lines.append("# --quantization bitsandbytes loads the base in 4 bits again.")
    return "\n".join([*lines, f"exec {shlex.join(words)}"]) + "\n"


def _largest_rank(rank: int) -> int:
    found = next((known for known in RANKS if known >= rank), None)
    if found is None:
        fix = "`fttui export --to merged` and serve the merged model"
        raise UserError(f"vLLM serves adapters of rank {RANKS[-1]} at the most, this one has {rank}; {fix}", "to")
    return found


def write(source: ExportSource, folder: Path) -> None:
    """Write the script into `folder`."""
    path = folder / SCRIPT
    path.write_text(script(source), encoding="utf-8")
    path.chmod(0o755)
