"""Idle threads spin only briefly, unless the environment sets how they wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from backend.hardware import cgroup, host
from backend.training import waiting


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"GOMP_SPINCOUNT": waiting.SPINS}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
    ],
)
def test_what_the_environment_says_about_waiting_threads_is_kept(before: dict[str, str], after: dict[str, str]) -> None:
    environment = dict(before)
    waiting.bound_spinning(environment)
    assert environment == after


@pytest.mark.parametrize(
    ("quota", "before", "after"),
    [
        (2.0, {}, {"OMP_NUM_THREADS": "2"}),
        (1.5, {}, {"OMP_NUM_THREADS": "2"}),
        (0.5, {}, {"OMP_NUM_THREADS": "1"}),
        (2.0, {"OMP_NUM_THREADS": "5"}, {"OMP_NUM_THREADS": "5"}),
        (8.0, {}, {}),
        (None, {}, {}),
    ],
)
def test_a_quota_of_cores_has_as_many_threads(
    quota: float | None, before: dict[str, str], after: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with eight cores."""
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: quota)
    monkeypatch.setattr(host, "_affinity", lambda _: 8)
    environment = dict(before)
    waiting.fit_threads(environment)
    assert environment == after


def test_it_is_said_before_torch_is_loaded() -> None:
    environment = {name: x for name, x in os.environ.items() if name not in waiting.POLICIES}
    script = """
import os, sys
import backend.training
assert "torch" not in sys.modules
print(os.environ["GOMP_SPINCOUNT"])
"""
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == waiting.SPINS
