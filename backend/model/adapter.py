"""An adapter in a folder, as peft writes it: read from its configuration and its file's header, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backend import typed
from backend.errors import UserError
from backend.model import headers

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
A, B = ".lora_A.weight", ".lora_B.weight"
PREFIX = "base_model.model."


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
    """What it names as its base: a hub id or a folder; empty if it names none."""
    rank: int
    alpha: float
    target_modules: str
    """As the plan field; empty if it is a pattern."""
    use_dora: bool
    use_rslora: bool
    modules_to_save: str
    is_usual: bool
    """One rank and one scale over whole layers, which a plan's fields can say."""
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
    """The adapter in `folder`. Raises UserError (field `adapter`) if it is none, damaged, or no LoRA."""
    if not (folder / CONFIG).is_file():
        raise UserError(f"adapter: {folder} is no adapter: {CONFIG} is missing; give a run, or its result", "adapter")
    try:
        config = typed.read_json(folder / CONFIG, _Config)
    except typed.Damaged as error:
        raise unreadable(folder, f"{CONFIG} is damaged: {error}") from None
    if config.peft_type != "LORA" or config.r < 1:
        raise UserError(
            f"adapter: {folder} holds a {config.peft_type[:40]!r} adapter; training starts from LoRA's", "adapter"
        )
    if config.lora_alpha <= 0:
        raise unreadable(folder, f"{CONFIG} has no lora_alpha above 0")
    shapes = _shapes(folder)
    ranks = {sizes[0] for name, sizes in shapes.items() if name.endswith(A)}
    if not config.rank_pattern and ranks != {config.r}:
        raise unreadable(folder, f"{CONFIG} says rank {config.r}, its matrices have {max(ranks)}")
    targets = [] if isinstance(config.target_modules, str | None) else _last_names(config.target_modules)
    odd = (config.rank_pattern, config.alpha_pattern, config.target_parameters, config.trainable_token_indices)
    usual = not any(odd) and config.layers_to_transform is None and config.bias == "none" and bool(targets)
    return Adapter(
        folder=folder,
        base=config.base_model_name_or_path or "",
        rank=config.r,
        alpha=config.lora_alpha,
        target_modules=",".join(targets),
        use_dora=config.use_dora,
        use_rslora=config.use_rslora,
        modules_to_save=",".join(_last_names(config.modules_to_save or [])),
        is_usual=usual,
        shapes=shapes,
        bytes=(folder / WEIGHTS).stat().st_size,
    )


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
        found = {name: tuple(map(int, entry["shape"])) for name, entry in headers.header(path).items()}
    except (UserError, OSError, KeyError, TypeError, ValueError):
        raise unreadable(folder, f"{WEIGHTS} is damaged or cut short") from None
    if any(name.endswith((A, B)) and len(sizes) != 2 for name, sizes in found.items()):
        raise unreadable(folder, f"{WEIGHTS} holds LoRA matrices that are none")
    if not any(name.endswith(A) for name in found):
        raise unreadable(folder, f"{WEIGHTS} holds no LoRA matrix")
    return found


def _last_names(names: list[str]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in names})
