"""How the trainer reports: events to the run folder. It knows no screen and never prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from backend.run.events import Event, Logged, PhaseProgress, PhaseStarted

PROGRESS_SECONDS = 0.5
"""At most one `progress` event in this time, and none for what takes less."""


class EventSink(Protocol):
    """Takes events."""

    def write(self, event: Event) -> None:
        """Append one."""


class Silent:
    """A sink that drops events, for all ranks but the first, which alone reports."""

    def write(self, event: Event) -> None:
        """Drop the event."""


class Report:
    """Writes events and remembers the phase, which the meters' thread adds to its own."""

    def __init__(self, log: EventSink) -> None:
        self._log = log
        self.current_phase = "load"
        self._said = ""
        self._told_at = time.monotonic()
        self.on_phase: Callable[[str], None] | None = None
        """Called when a phase begins: the meters measure each by itself."""

    def event(self, event: Event) -> None:
        """Append an event."""
        self._log.write(event)

    def say(self, text: str, level: str = "info") -> None:
        """A sentence for the log."""
        self.event(Logged(level=level, text=text))

    def warn(self, text: str) -> None:
        """A sentence that should be noticed."""
        self.say(text, "warning")

    def phase(self, name: str) -> None:
        """The phase that starts now, named as in `PhaseStarted`; nothing is written if it has started already."""
        if self.on_phase:
            self.on_phase(name)
        self._told_at = time.monotonic()
        if name == self._said:
            return
        self.current_phase = self._said = name
        self.event(PhaseStarted(name=name))

    def progress(self, what: str, done: int, total: int) -> None:
        """How many of `total` (0: unknown) things of the current phase are done; may be called for each of them."""
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            self.event(PhaseProgress(what=what, done=done, total=total))
