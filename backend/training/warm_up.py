"""Load torch ahead of its use, in a thread, without freezing the screen."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import sys
from contextlib import suppress
from pathlib import Path

_LIBRARIES = (("libtorch_global_deps.so", os.RTLD_NOW | os.RTLD_GLOBAL), ("libtorch_python.so", os.RTLD_NOW))
"""What `import torch` loads, in the same order and with the same flags."""
_SWITCH_SECONDS = 0.0005
"""The interpreter's switch interval during the import: how long a key waits. The default is ten times that."""


def warm_up() -> None:
    """Import torch if it is installed. Neither a model library nor CUDA is touched: a run still picks its GPU.

    `import` maps torch's libraries while it holds the interpreter's lock, 0.2 s for 430 MB on two cores (2026-11-24):
    a foreign call does not hold it, and the import then finds them mapped. Garbage collection is off for now and skips
    torch's objects afterwards: going through the 257,000 of them takes 0.1 s, in which no thread runs.
    """
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    folder = Path(found.origin).parent / "lib"
    load = getattr(ctypes.CDLL(None), "dlopen", None)
    if load is not None:
        load.restype, load.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
        for name, mode in _LIBRARIES:
            load(str(folder / name).encode(), mode)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.disable()
    try:
        with suppress(ImportError, OSError):  # the trainer imports it again, and says what is wrong
            importlib.import_module("torch")
    finally:
        gc.freeze()
        gc.enable()
        sys.setswitchinterval(interval)
