"""An adapter in a folder, as peft writes it: read from its configuration and its file's header, without torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backend import typed
from backend.errors import UserError
from backend.model import finite, headers, stored
from backend.model.shape import HEADS, is_embedding

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
A, B = ".lora_A.weight", ".lora_B.weight"
PREFIX = "base_model.model."
_LENGTHS = ".lora_magnitude_vector"
_OWN = re.compile(r"\.lora_(embedding_[AB]|magnitude_vector(\.weight)?|[AB]\.(weight|bias))$")
"""Ends of the names that peft gives an adapter's tensors in a file."""


_MOST_ALPHA = 1e6
_HARMLESS_BEGINNINGS = ("gaussian", "eva", "orthogonal")
_KNOWN = frozenset(
    (
        *("peft_type", "r", "lora_alpha", "target_modules", "base_model_name_or_path", "use_dora", "use_rslora"),
        *("modules_to_save", "bias", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "layers_to_transform"),
        *("target_parameters", "trainable_token_indices", "layers_pattern", "exclude_modules"),
        *("init_lora_weights", "ensure_weight_tying", "task_type", "auto_mapping", "peft_version", "revision"),
        *("inference_mode", "lora_dropout", "runtime_config", "megatron_core", "megatron_config", "loftq_config"),
        *("eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "tp_plan"),
    )
)
"""Fields of peft's configuration that are read here, or that change nothing once an adapter is trained."""


class _Config(msgspec.Struct):
    """What is read of adapter_config.json."""

    peft_type: str
    r: int = 0
    lora_alpha: float = 0.0
    target_modules: list[str] | str | None = None
    base_model_name_or_path: str | None = None
    use_dora: bool = False
    use_rslora: bool = False
    modules_to_save: list[str] | None = None
    bias: str = "none"
    fan_in_fan_out: bool = False
    rank_pattern: dict[str, Any] | None = None
    alpha_pattern: dict[str, Any] | None = None
    layers_to_transform: Any = None
    target_parameters: Any = None
    trainable_token_indices: Any = None


@dataclass(frozen=True)
class Adapter:
    """An adapter that training can start from."""

    folder: Path
    base: str
    """The base that it names: a hub id or a folder; empty if it names none."""
    rank: int
    alpha: float
    target_modules: str
    """The plan field for the layers that it has matrices for, whatever its configuration says."""
    use_dora: bool
    use_rslora: bool
    modules_to_save: str
    is_usual: bool
    """Whether it has one rank and one scale for all of its layers, so that plan fields can describe it."""
    shapes: Mapping[str, tuple[int, ...]]
    """Tensor name -> sizes."""
    bytes: int

    def settings(self) -> dict[str, Any]:
        """The plan fields that describe it."""
        return {
            "rank": self.rank,
            "alpha": self.alpha,
            "target_modules": self.target_modules,
            "use_dora": self.use_dora,
            "use_rslora": self.use_rslora,
            "modules_to_save": self.modules_to_save,
        }

    def parameters(self) -> int:
        """Elements of all its tensors."""
        return sum(math.prod(sizes) for sizes in self.shapes.values())


def read(folder: Path) -> Adapter:
    """The adapter in `folder`. Raises UserError (field `adapter`) if it is not a LoRA adapter, or damaged."""
    if not (folder / CONFIG).is_file():
        raise UserError(f"adapter: {folder} is no adapter: {CONFIG} is missing; give a run, or its result", "adapter")
    try:
        said = typed.read_json(folder / CONFIG, dict[str, Any])
        config = typed.convert(said, _Config)
    except typed.Damaged as error:
        raise unreadable(folder, f"{CONFIG} is damaged: {error}") from None
    if config.peft_type != "LORA":
        raise UserError(
            f"adapter: {folder} holds a {config.peft_type[:40]!r} adapter; training starts from LoRA's", "adapter"
        )
    if config.r < 1:
        raise unreadable(folder, f"{CONFIG} says rank {config.r}")
    if strange := _unknown(said):
        raise unreadable(folder, f"{CONFIG} sets {strange}, which means something that is not done here")
    if not 0 < config.lora_alpha < _MOST_ALPHA:
        raise unreadable(folder, f"{CONFIG} has no lora_alpha above 0 and below a million")
    shapes = _shapes(folder)
    ranks = {sizes[0] for name, sizes in shapes.items() if name.endswith(A)}
    if not config.rank_pattern and ranks != {config.r}:
        raise unreadable(folder, f"{CONFIG} says rank {config.r}, its matrices have {max(ranks)}")
    modules = [name.removesuffix(A).removeprefix(PREFIX) for name in shapes if name.endswith(A)]
    if fault := _unsaid(config, modules, shapes):
        raise unreadable(folder, fault)
    odd = (config.rank_pattern, config.alpha_pattern, config.target_parameters, config.trainable_token_indices)
    usual = not any(odd) and config.layers_to_transform is None and config.bias == "none"
    return Adapter(
        folder=folder,
        base=config.base_model_name_or_path or "",
        rank=config.r,
        alpha=config.lora_alpha,
        target_modules=",".join(_last_names(modules)),
        use_dora=config.use_dora,
        use_rslora=config.use_rslora,
        modules_to_save=",".join(_last_names(config.modules_to_save or [])),
        is_usual=usual,
        shapes=shapes,
        bytes=(folder / WEIGHTS).stat().st_size,
    )


def _unknown(config: Mapping[str, Any]) -> str:
    """The setting of the configuration that gives the matrices a meaning not known here; empty if there is none.

    Some initialisations change the base's own weights too (PiSSA, OLoRA, CorDA, LoftQ): over the unchanged base such
    matrices are useless.
    """
    begun = config.get("init_lora_weights", True)
    if not isinstance(begun, bool) and begun not in _HARMLESS_BEGINNINGS:
        return f"init_lora_weights {begun!r}"[:80]
    return next((key for key, value in config.items() if value and key not in _KNOWN), "")


def unreadable(folder: Path, why: str) -> UserError:
    """The error of an adapter whose files are damaged."""
    return UserError(f"adapter: {folder} can't be used ({why}); give another adapter, or save it again", "adapter")


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    path = folder / WEIGHTS
    if not path.is_file():
        if (folder / PICKLE).is_file():
            raise unreadable(folder, f"its weights are in {PICKLE}, a pickle, which can run any code when loaded")
        raise unreadable(folder, f"{WEIGHTS} is missing")
    try:
        entries = headers.header(path)
        found = {name: tuple(map(int, entry["shape"])) for name, entry in entries.items()}
    except (UserError, OSError, KeyError, TypeError, ValueError):
        raise unreadable(folder, f"{WEIGHTS} is damaged or cut short") from None
    packed = next((name for name, entry in entries.items() if entry["dtype"] not in stored.TRAINABLE), None)
    if packed:
        raise unreadable(folder, f"its tensor {packed} is {entries[packed]['dtype']}")
    if any(name.endswith((A, B)) and len(sizes) != 2 for name, sizes in found.items()):
        raise unreadable(folder, f"{WEIGHTS} holds LoRA matrices that are none")
    if not any(name.endswith(A) for name in found):
        raise unreadable(folder, f"{WEIGHTS} holds no LoRA matrix")
    if alone := _unpaired(found):
        raise unreadable(folder, f"its tensor {alone} has no second matrix of the same rank")
    if bad := finite.first(path):
        raise unreadable(folder, f"its tensor {bad} holds values that are no numbers (NaN or infinite)")
    return found


def _unpaired(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The first of LoRA's matrices whose counterpart is missing; empty if none is."""
    for name, sizes in shapes.items():
        is_first = name.endswith(A)
        if is_first or name.endswith(B):
            other = shapes.get(name.removesuffix(A) + B if is_first else name.removesuffix(B) + A, ())
            if len(other) != 2 or sizes[0 if is_first else 1] != other[1 if is_first else 0]:
                return name
    return ""


def _unsaid(config: _Config, modules: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A mismatch of file and configuration, for which peft would leave something out; empty if there is none."""
    strange = next((name for name in shapes if not name.startswith(PREFIX)), None)
    if strange:
        return f"its tensor {strange} is not named as peft names them, {PREFIX}..."
    listed = config.target_modules
    if isinstance(listed, list) and listed:
        left_out = next((x for x in modules if not any(x == one or x.endswith(f".{one}") for one in listed)), None)
        if left_out:
            return f"it has matrices for {left_out}, which {CONFIG} does not list in target_modules"
    if config.use_dora != any(_LENGTHS in name for name in shapes):
        return f"{CONFIG} says use_dora {str(config.use_dora).lower()}, and its tensors are otherwise"
    other = next((name for name in shapes if not _is_said(name, config)), None)
    if other and ".lora_" in other:
        return f"its tensor {other} is not named as peft names them"
    return f"it holds {other.removeprefix(PREFIX)}, which {CONFIG} does not list in modules_to_save" if other else ""


def _is_said(tensor: str, config: _Config) -> bool:
    """Whether a tensor is part of LoRA or of a module trained in full; a head may stand for a listed embedding."""
    module, _, last = tensor.rpartition(".")
    saved = set(_last_names(config.modules_to_save or []))
    saved |= set(HEADS) if any(map(is_embedding, saved)) else set()
    is_bias = last == "bias" and config.bias != "none"
    return (
        _OWN.search(tensor) is not None or ".token_adapter." in tensor or module.rpartition(".")[2] in saved or is_bias
    )


def _last_names(names: Sequence[str]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in names})
