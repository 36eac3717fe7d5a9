"""Signals that a scheduler sends to every process of a job: one process passes them on, and the others ignore them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

FROM_OUTSIDE = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""If a child process died of one of these, the run would end, or lose its progress since the last checkpoint."""


@contextmanager
def blocked() -> Iterator[None]:
    """Processes that are started in this context have the signals blocked from the start, until they unblock them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_OUTSIDE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """In such a process, ignore the signals from now on, and those that are pending."""
    for number in FROM_OUTSIDE:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_OUTSIDE)
