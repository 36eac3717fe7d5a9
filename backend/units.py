"""Figures as words, the same everywhere: bytes, hours, dollars, counts."""

from __future__ import annotations

import math
from collections.abc import Callable

Words = Callable[[float], str]

PHASES = {
    "waiting": "starting the trainer",
    "data": "preparing the data",
    "load": "loading the model",
    "kernels": "timing kernels",
    "eval": "evaluating",
    "sample": "asking the model",
    "forgetting": "measuring forgetting",
    "task": "scoring the task",
    "train": "training",
    "checkpoint": "writing a checkpoint",
    "save": "saving the result",
    "done": "finished",
}
"""What a run does in each phase: `waiting` before the trainer's first event, `done` after its last."""

GIB = 2**30
MIB = 2**20


def gib(count: float) -> str:
    """Bytes of memory as `12.4 GiB`."""
    return f"{count / GIB:.1f} GiB"


def memory(count: float) -> str:
    """Bytes of memory in the unit that suits: `310 MiB`, `12.4 GiB`."""
    return gib(count) if count >= 1000 * MIB else f"{count / MIB:.0f} MiB"


def disk(count: float) -> str:
    """Bytes on disk, in powers of ten as disks are sold: `46 B`, `12 kB`, `168 MB`, `16.1 GB`."""
    if count < 1e3:
        return f"{count:.0f} B"
    if count < 1e5:
        return f"{count / 1e3:.0f} kB"
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """A time span in two units at the most: `42 s`, `6 m 10 s`, `3 h 05 m`, `2 d 4 h`; `?` if it is not finite."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def usd(amount: float) -> str:
    """Dollars: `$0`, `$0.004`, `$0.42`, `$40`, `$182`."""
    return "$0" if amount == 0 else f"${dollars(amount)}".removesuffix(".00")


def dollars(amount: float) -> str:
    """Dollars without their sign, for columns: `0.004`, `0.42`, `40.00`, `182`."""
    if amount >= 100:
        return f"{amount:,.0f}"
    return f"{amount:.2f}" if amount >= 0.095 else f"{amount:.3f}"


def count(number: float) -> str:
    """A count in three figures: `812`, `4,800`, `1.9 M`, `8.03 B`."""
    if number >= 1e9:
        return f"{number / 1e9:.2f} B"
    if number >= 1e6:
        return f"{number / 1e6:.1f} M"
    return f"{number:,.0f}"


def counted(number: int, what: str) -> str:
    """A number of things: `1 row`, `4,800 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def with_article(name: str) -> str:
    """A product's name after `a` or `an`, as it is spoken: `an MI300X`, `an RTX 4090`, `a T4`, `a Radeon`."""
    word = name.split()[0]
    spelt_out = word.upper() == word
    return f"{'an' if word[0] in ('AEFHILMNORSX' if spelt_out else 'AEIOaeio') else 'a'} {name}"


def rate(per_second: float) -> str:
    """Tokens per second, with decimals below ten: `2,870`, `4.3`, `0.02`."""
    if per_second >= 9.95 or not per_second:
        return f"{per_second:,.0f}"
    return f"{per_second:.1f}" if per_second >= 0.095 else f"{per_second:.2g}"
