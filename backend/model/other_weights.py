"""A folder without the safetensors files that are loaded: what lies there instead, and what to do, in a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backend.errors import UserError
from backend.model import headers
from backend.model.family import Config

_PICKLE: Final = re.compile(r"^(?!optimizer|scheduler|scaler|rng_state)(pytorch_model.*\.bin|.*\.(pt|pth|ckpt|pkl))$")
"""Pickled weights; not what a trainer keeps beside them."""
_OTHERS: Final = (".h5", ".msgpack", ".onnx", ".npz", ".ot", ".tflite")
_BEGUN: Final = (".incomplete", ".part", ".crdownload", ".aria2", ".tmp", ".download")
"""Ends of names of files that are being fetched, or that never were fetched to the end."""


def refuse(folder: Path, name: str) -> None:
    """Raise UserError (field `model`) if weights are there that can't be loaded; a config.json alone may be planned."""
    said = _sentence(folder, name, sorted(path.name for path in folder.iterdir()))
    if said:
        raise UserError(said, "model")


def refuse_named(config: Config, name: str, read: str) -> None:
    """Raise UserError (field `model`) if config.json has transformers load another file than `read`."""
    said = config.get("transformers_weights")
    if said not in (None, read):
        raise UserError(
            f"config.json of {name} says transformers_weights {said!r}, by which another file than {read} would be "
            f"loaded; if that is the model, rename it to {read}, and leave transformers_weights out",
            "model",
        )


def _sentence(folder: Path, name: str, names: Sequence[str]) -> str | None:
    gone = next((x for x in names if x.endswith(".safetensors") and not (folder / x).exists()), None)
    if gone:
        return f"{gone} of {name} is a link to a file that is gone; download the model again"
    stopped = next((x for x in names if x.endswith(_BEGUN) and ".safetensors" in x), None)
    if stopped:
        return f"the download of {name} has not ended ({stopped} is there); go on with it, then plan again"
    tensors = [x for x in names if x.endswith(".safetensors") and not x.startswith("adapter")]
    if tensors:
        return _other_names(name, tensors)
    if any(_PICKLE.match(x) for x in names):
        return pickle_sentence(name)
    if any(x.endswith(".gguf") for x in names):
        return gguf_sentence(name)
    foreign = next((x for x in names if x.endswith(_OTHERS)), None)
    return f"{name} has its weights as {foreign} only; give a version with safetensors" if foreign else None


def _other_names(name: str, files: Sequence[str]) -> str:
    if any("-of-" in file for file in files):
        return (
            f"{name} has its weights in parts ({files[0]}) without {headers.INDEX}, which says what is in them; "
            "download that file too"
        )
    if all(file.startswith("consolidated") for file in files):
        return (
            f"{name} has its weights in the maker's own format only ({files[0]}); give a version with "
            f"{headers.SINGLE} or {headers.INDEX}"
        )
    return f"{name} has no {headers.SINGLE}, which is what is loaded, but {files[0]}; rename it if it is the model"


def pickle_sentence(name: str) -> str:
    """The error for weights in pickle files only."""
    return (
        f"{name} has its weights in pickle files only (pytorch_model.bin), which can run any code when loaded; "
        "give a version with safetensors, or convert it with https://huggingface.co/spaces/safetensors/convert"
    )


def gguf_sentence(name: str) -> str:
    """The error for weights as GGUF only."""
    return f"{name} is a GGUF, which is made for inference; give the original model with config.json and safetensors"
