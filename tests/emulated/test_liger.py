"""`kernels = fused` with Liger's real kernels, which Triton's interpreter runs on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from backend.answers import METHODS
from tests.emulated.conftest import PYTHON

REPLACED = {"llama": 7, "qwen2": 7, "qwen3": 11, "mistral": 7, "gemma3_text": 13}
"""Modules of two blocks: norms, MLPs (Liger has none of Gemma's kind), and the last norm."""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    check = [PYTHON, "-c", "import triton, liger_kernel"]
    if subprocess.run(check, capture_output=True, check=False).returncode:
        pytest.skip("no liger-kernel and Triton; CUDA_PYTHON=/path/to/python names one with both")
    command = [PYTHON, "-m", "tests.emulated.liger", *REPLACED]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


@pytest.mark.parametrize("family", REPLACED)
def test_losses_and_gradients_are_those_of_transformers(family: str, found: dict[str, Any]) -> None:
    for method in METHODS:
        count, loss_error, gradient_error = found[family][method]
        assert count == REPLACED[family], method
        assert loss_error < 1e-5 and gradient_error < 1e-4, (method, loss_error, gradient_error)


def test_rotary_positions_are_those_of_transformers(found: dict[str, Any]) -> None:
    assert found["rope"] < 1e-6
