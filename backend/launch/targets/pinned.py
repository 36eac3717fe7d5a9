"""The environment that a run elsewhere gets: fttui and its libraries in the versions that are installed here."""

from __future__ import annotations

import re
from importlib import metadata

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def requirements(package: str | None = None) -> tuple[str, ...]:
    """What `pip install` takes there: `package` (by default this version of fttui), then each library pinned.

    A library that is not installed here keeps fttui's own lower bound.
    """
    version = metadata.version("fttui")
    pins = [_pinned(line) for line in metadata.requires("fttui") or () if "extra ==" not in line]
    return (package or f"fttui=={version}", *sorted(pins, key=str.lower))


def _pinned(requirement: str) -> str:
    found = _NAME.match(requirement)
    assert found, requirement
    try:
        version = metadata.version(found[0])
    except metadata.PackageNotFoundError:
        return requirement.partition(";")[0].replace(" ", "")
    return f"{found[0]}=={version.partition('+')[0]}"  # 2.13.0+cpu: the build for the other box differs
