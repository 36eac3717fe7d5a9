"""A model on the Hugging Face hub: its config.json and the size of its weights. No weights are downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backend.errors import UserError
from backend.model import beside, known
from backend.model.family import Config
from backend.model.local import read_config
from backend.model.other_weights import gguf_sentence, pickle_sentence

HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_AN_ID: Final = re.compile(
    r"(?:https?://)?(?:(?:www\.)?(?:huggingface\.co|hf\.co)/|hf:(?://)?)?(?:models/)?"
    rf"({HUB_ID.pattern.replace('?', '')})(?:/(?:tree|blob|resolve)/.*|[@:?#].*|/)?"
)
"""An address on the hub, or an id with a scheme or a version, as other tools write them."""
_TIMEOUT_SECONDS: Final = 10.0
_MEND: Final = "connect, or give a folder (config.json is enough for planning), a size such as 8b, or demo"


class Unreachable(UserError):
    """The hub could not be asked about a model: no network, or no access yet. `reason` says which."""

    def __init__(self, hub_id: str, reason: str, fix: str) -> None:
        super().__init__(f"{hub_id} is not on this box and {reason}; {fix}", "model")
        self.reason = reason


@dataclass(frozen=True)
class Remote:
    """A model as the hub describes it."""

    config: Config
    weight_bytes: int
    parameters: int | None
    """All elements in its safetensors files; None if the hub does not say."""
    license: str


def id_in(said: str) -> str:
    """The hub id in an address or in another tool's notation; empty if it is neither."""
    found = _AN_ID.fullmatch(said)
    return found[1] if found else ""


def read(hub_id: str) -> Remote:
    """Ask the hub for `hub_id`. Raises Unreachable, or UserError if it does not exist or can't be fine-tuned."""
    from huggingface_hub import HfApi

    with _said_plainly(hub_id):
        about = HfApi().model_info(hub_id, files_metadata=True, timeout=_TIMEOUT_SECONDS)
    sizes = {file.rfilename: int(file.size or 0) for file in about.siblings or ()}
    weights = [size for name, size in sizes.items() if _is_weight(name)]
    if not weights:
        raise UserError(_without_safetensors(hub_id, list(sizes)), "model")
    if "config.json" not in sizes:
        raise UserError(f"{hub_id} is no model: config.json is missing on the hub; give another hub id", "model")
    if beside.ADAPTER in sizes:
        raise beside.adapter_beside(hub_id, "download it without the files adapter_*, and give the folder")
    safetensors, card = about.safetensors, about.card_data
    return Remote(
        config=_config(hub_id),
        weight_bytes=sum(weights),
        parameters=int(safetensors.total) if safetensors else None,
        license=str(getattr(card, "license", None) or "") if card else "",
    )


def _config(hub_id: str) -> Config:
    from huggingface_hub import hf_hub_download

    with _said_plainly(hub_id):
        path = hf_hub_download(hub_id, "config.json", etag_timeout=_TIMEOUT_SECONDS, tqdm_class=_silent_bar())
    return read_config(Path(path).parent)


def _silent_bar() -> Any:
    """A progress bar that prints nothing: a screen may own the terminal."""
    from functools import partial

    from huggingface_hub import utils

    return partial(utils.tqdm, disable=True)  # type: ignore[attr-defined]


def _is_weight(name: str) -> bool:
    """A top-level safetensors file of the model itself (`consolidated` ones repeat it in the maker's own format)."""
    return "/" not in name and name.endswith(".safetensors") and not name.startswith(("consolidated", "adapter"))


def _without_safetensors(hub_id: str, names: list[str]) -> str:
    if any(name.startswith("pytorch_model") and name.endswith(".bin") for name in names):
        return pickle_sentence(hub_id)
    if any(name.endswith(".gguf") for name in names):
        return gguf_sentence(hub_id)
    if "adapter_config.json" in names:
        return f"{hub_id} is a LoRA adapter, not a model; give its base model instead"
    return f"{hub_id} has no weights in safetensors on the hub; give a model that has"


@contextmanager
def _said_plainly(hub_id: str) -> Iterator[None]:
    """The hub's exceptions as one sentence each."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        fix = f"accept its licence at https://huggingface.co/{hub_id}, then log in with `hf auth login`"
        raise Unreachable(hub_id, "is gated on the hub", fix) from None
    except errors.RepositoryNotFoundError:
        raise UserError(_not_found(hub_id), "model") from None
    except errors.HFValidationError:
        raise UserError(f"{hub_id!r} is neither a folder here nor a hub id (ORG/NAME)", "model") from None
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]  # the base of httpx's own errors
        raise Unreachable(hub_id, _why(error), _MEND) from None


def _why(error: Exception) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "the hub may not be asked (HF_HUB_OFFLINE is set)"
    if status:
        return f"the hub answered with error {status}"
    if isinstance(error, OSError) and error.strerror:  # the disk, not the network
        return f"its config.json can't be stored ({error.strerror})"
    return "the hub can't be reached (no network)"


def _not_found(hub_id: str) -> str:
    near = known.suggestions(hub_id)
    meant = f"did you mean {' or '.join(near)}?" if near else "check its spelling"
    return f"no folder here and no model on the hub is called {hub_id}; {meant} (a private one needs `hf auth login`)"
