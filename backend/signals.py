"""Signals that a scheduler sends to every process of a job: one process passes them on, and the others ignore them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

FROM_OUTSIDE = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""A child that died of one would take with it what the run has done since its last checkpoint, or end the run."""


@contextmanager
def blocked() -> Iterator[None]:
    """A process that is started within has them blocked from its first instruction on, until it unblocks them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_OUTSIDE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """In such a process: from now on they do nothing, nor do those that have come meanwhile."""
    for number in FROM_OUTSIDE:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_OUTSIDE)
