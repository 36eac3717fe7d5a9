"""How many threads torch has on a CPU, and how they wait for each other. Set before torch is loaded.

libgomp's threads spin for milliseconds before they sleep, each on a core. Beside another busy process a thread that
was put aside is waited for that way, again and again in every operation: a loop of small products falls to a fifth.
A spin thirty times as short gives the core back sooner and costs nothing on a machine with nothing else to do; a tenth
of that would slow training there by a tenth (`python -m tests.bench.neighbour`, tests/bench/RESULTS.md). Beside others
the number of threads stays as it is: sums would be rounded in another order, and a run that is resumed would not end as
the undisturbed one. Under a container's quota of cores it is that quota: a thread for each core of the machine would
use it up by waiting, and then all of them stand still.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from backend.hardware import host

SPINS = "10000"
POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Whoever sets one of these is obeyed."""


def bound_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let idle threads spin for a short while only, unless the environment says how they wait."""
    if not any(name in environment for name in POLICIES):
        environment["GOMP_SPINCOUNT"] = SPINS


def fit_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """No more threads than a quota of cores keeps busy, unless the environment says how many."""
    threads = host.threads_by_quota()
    if threads is not None:
        environment.setdefault(host.THREADS, str(threads))
