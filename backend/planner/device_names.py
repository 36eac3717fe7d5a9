"""Find a catalogue GPU by the name that a person types. Forgiving about spelling, strict about ambiguity."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Sequence

from backend.errors import UserError, wont_do
from backend.hardware import catalogue
from backend.hardware.catalogue import GpuSpec

NOISE = frozenset(
    re.findall(
        r"\w+",
        "nvidia amd geforce tesla quadro radeon instinct rtx gpu graphics card generation edition workstation "
        "ampere hopper blackwell hbm2 hbm2e hbm3 hbm3e gddr6 gddr6x gddr7",
    )
)
"""Words that don't tell any two cards of the catalogue apart."""
MEMORY = re.compile(r"(?<![a-z0-9])(\d+)\s*g\b|(?<!\d)(\d+)\s*gi?b\b")
"""A memory size: `80g` as a word of its own, `80GB` and `80 GiB` also at the end of one (`A10G` has none)."""

Key = tuple[str, int | None]


def split_count(text: str) -> tuple[str, int]:
    """`A100-80GB:4` as its name and 4; without a count, 1. Raises UserError for a count below 1."""
    name, colon, count = text.strip().rpartition(":")
    if not colon:
        return text.strip(), 1
    number = int(count) if count.strip().isascii() and count.strip().isdigit() else 0
    if number < 1:
        raise wont_do("gpu", text, "a whole number of at least 1 after the colon, as in A100-80GB:4")
    return name.strip(), number


def key(text: str) -> Key:
    """The name in lower case without spaces, dashes and vendor words; and the memory size in it, GB."""
    lower = text.casefold()
    match = MEMORY.search(lower)
    rest = MEMORY.sub(" ", lower)
    words = [word for word in re.findall(r"[a-z0-9]+", rest) if word not in NOISE]
    compact = re.sub(r"^(nvidia|geforce|rtx)+(?=[a-z]*\d)", "", "".join(words))
    return re.sub(r"sxm\d", "sxm", compact), int(match[1] or match[2]) if match else None


def find(text: str) -> tuple[GpuSpec, str | None]:
    """The one GPU that `text` means, and a sentence if there was a choice. Raises UserError with the candidates."""
    wanted = key(text)
    found = [spec for spec in catalogue.specs() if _means(spec, wanted)]
    if len(found) == 1:
        return found[0], None
    if not found:
        raise UserError(_unknown(text, wanted), "gpu")
    preferred = [spec for spec in found if spec.preferred]
    if len({spec.memory_gb for spec in found}) > 1 or len(preferred) != 1:
        raise UserError(f"GPU {text!r} can be more than one card: say {_either(found)}.", "gpu")
    others = " or ".join(spec.name for spec in found if not spec.preferred)
    return preferred[0], f"{text} is taken as the {preferred[0].name}; the other card is called {others}."


def _means(spec: GpuSpec, wanted: Key) -> bool:
    """Whether one of the entry's names is the wanted one, in a size that it has."""
    name, size = wanted
    return any(known == name and size in sizes for known, sizes in _keys(spec))


@functools.cache
def _keys(spec: GpuSpec) -> tuple[tuple[str, tuple[int | None, ...]], ...]:
    """The entry's names, each with the memory sizes that may follow it: none or the card's own.

    An alias that holds a size, and a driver's name with an odd one, takes that size only.
    """
    own = (None, spec.memory_gb)
    proper = [(name, own if size in own else (size,)) for name, size in map(key, (spec.name, *spec.nvml))]
    aliases = [(name, own if size is None else (size,)) for name, size in map(key, spec.aliases)]
    return (*proper, *aliases)


def _unknown(text: str, wanted: Key) -> str:
    name, size = wanted
    other_sizes = [spec for spec in catalogue.specs() if any(known == name for known, _ in _keys(spec))]
    if other_sizes:
        return f"GPU {text!r} is not known with {size} GB: known is {_either(other_sizes)}."
    near = _nearest(name)
    if near:
        return f"GPU {text!r} is not known; the nearest names: {', '.join(near)}."
    return f"GPU {text!r} is not known: try a name such as RTX 4090, A100-80GB, H100 or L4, or cpu."


def _nearest(name: str) -> list[str]:
    """Up to three catalogue names that look like `name`."""
    names = {known: spec.name for spec in reversed(catalogue.specs()) for known, _ in _keys(spec)}
    close = difflib.get_close_matches(name, names, n=6, cutoff=0.6)
    inside = [known for known in names if len(known) > 1 and known in name]
    return list(dict.fromkeys(names[known] for known in (*sorted(inside, key=len, reverse=True), *close)))[:3]


def _either(specs: Sequence[GpuSpec]) -> str:
    names = [spec.name for spec in specs]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
