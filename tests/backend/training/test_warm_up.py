"""Torch loaded ahead: in a thread, without CUDA or a model library, and without harm if it is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from backend.training.warm_up import warm_up

PROBE = """
import gc, sys, threading
from backend.training.warm_up import warm_up
before = sys.getswitchinterval()
thread = threading.Thread(target=warm_up)
thread.start()
thread.join()
assert sys.getswitchinterval() == before
assert gc.isenabled()
assert gc.get_freeze_count() > 100_000
import torch
assert not torch.cuda.is_initialized()
print(sorted({"transformers", "peft", "bitsandbytes"} & set(sys.modules)))
"""


@pytest.mark.torch
def test_it_loads_torch_and_nothing_that_picks_a_gpu() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_without_torch_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    warm_up()
