"""The command that serves a result with SGLang."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from backend.export import serving
from backend.export.source import ExportSource

SCRIPT = "serve.sh"


def command(source: ExportSource) -> list[str]:
    """The command, word by word. SGLang takes an adapter's rank and modules from its files."""
    start = ["python", "-m", "sglang.launch_server", "--model-path"]
    if not source.is_adapter:
        return [*start, str(source.result), "--served-model-name", source.folder.name]
    serving.refuse_more_than_matrices(source, "SGLang")
    template = source.result / "chat_template.jinja"
    said = ["--chat-template", str(template)] if template.is_file() else []
    return [*start, source.base, "--enable-lora", "--lora-paths", _adapter(source), *said]


def script(source: ExportSource) -> str:
    """The command as a shell script."""
    lines = ["#!/bin/sh"]
    if source.is_adapter:
        asked = json.dumps(f"{source.base}:{source.folder.name}")
        lines.append(f'# A request asks for the adapter behind the base\'s name: "model": {asked}')
    if source.job.plan.method == "qlora":
        lines.append("# It was trained over 4-bit weights and is served over the 16-bit ones here.")
    return "\n".join([*lines, f"exec {shlex.join(command(source))}"]) + "\n"


def _adapter(source: ExportSource) -> str:
    name, path = source.folder.name, str(source.result)
    if "=" in name:  # SGLang cuts NAME=PATH at the first one
        return json.dumps({"lora_name": name, "lora_path": path, "pinned": False})
    return f"{name}={path}"


def write(source: ExportSource, folder: Path) -> None:
    """Write the script into `folder`."""
    path = folder / SCRIPT
    path.write_text(script(source), encoding="utf-8")
    path.chmod(0o755)
