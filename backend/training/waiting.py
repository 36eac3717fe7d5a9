"""How many threads torch has on a CPU, and how they wait for each other. Set before torch is loaded.

libgomp's threads spin for milliseconds before they sleep, each on a core. If another process is busy, they spin in each
operation until a preempted thread runs again: a loop of small products falls to a fifth of its speed. A spin thirty
times as short gives the core back sooner and costs nothing on an idle machine; a tenth of that would slow training
there by a tenth (`python -m tests.bench.neighbour`, tests/bench/RESULTS.md). Other processes don't change the number of
threads: sums would be rounded in another order, and a resumed run would not end as an undisturbed one does. Under a
container's quota of cores it is that quota: a thread for each core of the machine would use the quota up by spinning,
and then all of them stand still.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from backend.hardware import host

SPINS = "10000"
POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""If the user has set one of these, it is left as it is."""


def bound_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let idle threads spin for a short while only, unless the environment says how they wait."""
    if not any(name in environment for name in POLICIES):
        environment["GOMP_SPINCOUNT"] = SPINS


def fit_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """No more threads than a quota of cores keeps busy, unless the environment says how many."""
    threads = host.threads_by_quota()
    if threads is not None:
        environment.setdefault(host.THREADS, str(threads))
