"""Upload an export to the hub. The token stays with huggingface_hub: it is never asked for, stored or printed here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from backend.errors import UserError
from backend.export.source import Say

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
NOT_PUSHED = ("vllm", "sglang", "trl", "axolotl", "llamafactory")
"""Targets without weights: commands and configs, some with the rows of the data."""
_TOKEN = re.compile(r"hf_\w+")


def refuse(repository: str, target: str) -> None:
    """Raise UserError for what can't be pushed, before anything is written."""
    if target in NOT_PUSHED:
        raise UserError(f"--push uploads a model, and --to {target} writes none; use --to merged, mlx or gguf", "push")
    if not REPOSITORY.fullmatch(repository):
        raise UserError(f"{repository} is no name of a repository; give USER/NAME", "push")


def push(folder: Path, repository: str, say: Say) -> str:
    """Upload `folder` into `repository`, a new one being private; returns a sentence. Raises UserError if refused."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        is_new = not api.repo_exists(repository)
        say(f"uploading {folder} to https://huggingface.co/{repository}")
        if is_new:
            api.create_repo(repository, private=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload by fttui")
    except Exception as error:  # noqa: BLE001 - httpx's, the hub's and the file system's errors, all for the user
        raise UserError(
            f"{repository} was not uploaded to: {_reason(error)}; the export is in {folder}", "push"
        ) from None
    privately = " (private; make it public on its page)" if is_new else ""
    return f"uploaded to https://huggingface.co/{repository}{privately}"


def _reason(error: Any) -> str:
    """The error's first line, without anything that looks like a token."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return "the hub refused the token; log in with `hf auth login` with one that may write"
    first = str(error).strip().split("\n")[0] or type(error).__name__
    return _TOKEN.sub("hf_...", first)
