"""`CUDA_VISIBLE_DEVICES` as CUDA reads it. Pure functions over text and UUIDs.

The rules are those of the CUDA C++ Programming Guide ("CUDA environment variables") and of torch's own parser: the list
ends at its first invalid entry, and a device that is named twice leaves none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Selection:
    """Which of the devices a program sees."""

    chosen: tuple[int, ...]
    """Positions in the list of devices, in the order of the variable."""
    ended_by: str | None = None
    """The entry that CUDA does not know and stops at."""
    by_index: bool = False
    """Whether GPUs were chosen by number, which is CUDA's order and may differ from the driver's."""


def select(variable: str | None, uuids: Sequence[str], parents: Sequence[int] = ()) -> Selection:
    """Apply the variable's value to devices with these UUIDs.

    `parents[i]` is the GPU number that a bare index means for device i: its own, or for a MIG slice that of its GPU,
    whose first slice is then taken. Without `parents` every device is a GPU of its own. None (the variable is not set)
    selects all, an empty value none.
    """
    owners = list(parents) or list(range(len(uuids)))
    if variable is None:
        return Selection(tuple(range(len(uuids))))
    entries = [entry.strip() for entry in variable.split(",")]
    named = entries[0].startswith(("GPU-", "MIG-"))
    chosen: list[int] = []
    for entry in entries:
        position = _by_uuid(entry, uuids) if named else _by_index(entry, owners)
        if position is None:
            return Selection(tuple(chosen), ended_by=entry, by_index=not named)
        if position in chosen:
            return Selection((), ended_by=entry, by_index=not named)
        chosen.append(position)
    return Selection(tuple(chosen), by_index=not named)


def _by_uuid(entry: str, uuids: Sequence[str]) -> int | None:
    """The one device whose UUID starts with `entry`; None if none or several do."""
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    matches = [i for i, uuid in enumerate(uuids) if uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def _by_index(entry: str, owners: Sequence[int]) -> int | None:
    """The first device of the GPU with this number. CUDA reads the leading digits: `1gpu` is 1."""
    digits = re.match(r"\+?(\d+)", entry)
    number = int(digits[1]) if digits else -1
    return owners.index(number) if number in owners else None
