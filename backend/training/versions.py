"""Which versions made a run."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("fttui", "torch", "transformers", "peft", "bitsandbytes")


def versions() -> dict[str, str]:
    """Package -> version, and Python's."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
