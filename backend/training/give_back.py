"""The memory of a run that is over: the process lives on, and so does the screen that shows the result."""

from __future__ import annotations

import ctypes

from backend.training import relief


def give_back() -> None:
    """Give the device and the system what nothing refers to any more.

    glibc keeps what was freed: the next run of this process would be measured with it.
    """
    relief.free()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)
