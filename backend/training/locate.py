"""From what the job names to a model folder on this box: as it is, downloaded, or converted (the demo)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backend.model import demo
from backend.run.job import Job

WANTED = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt"]
UNWANTED = ["*/*", "consolidated*.safetensors"]  # other formats' folders, and the same weights a second time


def model_folder(job: Job, say: Callable[[str], None]) -> Path:
    """The folder that the weights and the tokenizer load from. Raises what the hub raises where it can't be fetched."""
    if job.model == "demo":
        from backend.training.demo_model import convert

        return convert(say)
    folder = Path(job.model_folder).expanduser()
    return folder.resolve() if folder.is_dir() else _downloaded(job.model_folder, say)


def on_this_box(job: Job) -> Path:
    """The folder that `model_folder` has made or found. Nothing is fetched or converted."""
    return demo.folder() if job.model == "demo" else Path(job.model_folder).expanduser()


def base_name(job: Job, folder: Path) -> str:
    """What an adapter names as its base: the hub id where the model is from the hub, otherwise the folder."""
    return job.hub_id or str(folder)


def _downloaded(repository: str, say: Callable[[str], None]) -> Path:
    from huggingface_hub import snapshot_download

    say(f"fetching {repository}, or what is missing of it, from the hub")
    return Path(snapshot_download(repository, allow_patterns=WANTED, ignore_patterns=UNWANTED))
