"""Whether torch's allocator can grow its segments in place (`expandable_segments`), as far as is known without torch.

With them freed memory can be reused for blocks of any size. Some boxes refuse them at the first allocation: WSL, some
MIG slices, and torch if NVML is missing or does not say how GPUs are connected. Whether a box does is tried
once, in a process of its own (backend/training/allocator.py), and remembered in `$FTTUI_HOME/segments.json`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from backend import atomic, paths, typed
from backend.hardware.types import Hardware

VARIABLES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""The user's own settings of torch's allocator. If both are set, torch 2.11 obeys the first."""
FILE = "segments.json"
KERNEL = Path("/proc/sys/kernel/osrelease")
_SETTING = re.compile(r"expandable_segments\s*:\s*(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Segments:
    """What is known of this box."""

    expandable: bool
    """True also if it is not known yet: most boxes can."""
    why: str
    """Where that comes from, in a few words."""
    to_try: bool = False
    """Whether it has to be tried out."""


def known(hardware: Hardware) -> Segments:
    """The user's own setting; else what this kind of box can do; else what a try has shown."""
    own = asked_for(os.environ)
    if own is not None:
        return Segments(own, "as the environment says")
    if not hardware.nvml:
        return Segments(False, "NVML does not answer here")
    if is_wsl():
        return Segments(False, "WSL refuses them")
    if any(gpu.mig for gpu in hardware.gpus):
        return Segments(False, "MIG slices may refuse them")
    tried = _tried().get(_box(hardware))
    if tried is None:
        return Segments(True, "not tried yet", to_try=True)
    return Segments(tried, "tried on this box")


def asked_for(environment: Mapping[str, str]) -> bool | None:
    """What the user's own settings of the allocator say; None if there are none."""
    text = next((environment[name] for name in VARIABLES if environment.get(name)), None)
    if text is None:
        return None
    setting = _SETTING.search(text)
    return setting is not None and setting[1].casefold() == "true"


def is_wsl() -> bool:
    """Whether this is Linux under Windows."""
    try:
        return "microsoft" in KERNEL.read_text(encoding="utf-8", errors="replace").casefold()
    except OSError:
        return False


def remember(hardware: Hardware, expandable: bool) -> None:
    """Keep what a try has shown for this driver, torch and GPU. Raises OSError (disk full)."""
    atomic.write(_file(), msgspec.json.encode({**_tried(), _box(hardware): expandable}))


def _box(hardware: Hardware) -> str:
    torch = hardware.torch.version if hardware.torch else "none"
    return f"{hardware.gpus[0].name if hardware.gpus else 'none'}, driver {hardware.driver}, torch {torch}"


def _file() -> Path:
    return paths.home() / FILE


def _tried() -> dict[str, bool]:
    try:
        return typed.read_json(_file(), dict[str, bool])
    except typed.Damaged:
        return {}
