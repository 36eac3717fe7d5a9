"""Keep glibc from giving big temporaries back to the kernel at every step: half of a CPU step can be page faults."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # mallopt(3)
_LARGEST = 2**31 - 1


def keep_pages() -> bool:
    """Serve big blocks from one heap that stays, instead of a fresh mmap each. True where glibc took all of it.

    To be called before the trainer's thread starts: a thread keeps the arena it got first, and only the main arena
    can hold blocks over 64 MiB. Measured on a head of 49k x 576: page faults fall to a twentieth, time by 30-50 %.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST))
    taken = [mallopt(name, value) == 1 for name, value in settings]
    return all(taken)
