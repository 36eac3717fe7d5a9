"""Ranks that stand still, named while the others wait for them: stopped by a signal, or stuck in the kernel."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from backend.run.event_log import EventLog
from backend.run.events import Logged
from backend.run.folder import RunFolder

LOOK_SECONDS = 1.0
PATIENCE = {psutil.STATUS_STOPPED: 2.0, psutil.STATUS_TRACING_STOP: 5.0, psutil.STATUS_DISK_SLEEP: 60.0}
"""Seconds in one of these states after which a rank is named; one that reads a model may wait for the disk for long."""
_WHY = {
    psutil.STATUS_STOPPED: "is stopped (SIGSTOP); `kill -CONT {pid}` lets it go on",
    psutil.STATUS_TRACING_STOP: "is held by a debugger",
    psutil.STATUS_DISK_SLEEP: "waits for the disk or the driver and can't be ended; look at dmesg",
}


class Stalled:
    """Looks at the ranks' processes, and writes a warning to the run's events for each that stands still."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._looked = 0.0
        self._since: dict[int, tuple[str, float]] = {}
        self._named: set[int] = set()

    def look(self, pids: Sequence[int]) -> None:
        """Look at the ranks' processes, in order, at most once a second."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        for place, pid in enumerate(pids):
            self._one(f"the process of device {place + 1} of {len(pids)}", pid, now)

    def _one(self, who: str, pid: int, now: float) -> None:
        state = _state(pid)
        known, since = self._since.get(pid, ("", now))
        if state != known:
            self._since[pid] = state, now
            if pid in self._named:
                self._named.discard(pid)
                self._say(f"{who} goes on")
        elif state in PATIENCE and pid not in self._named and now - since >= PATIENCE[state]:
            self._named.add(pid)
            self._say(f"{who} {_WHY[state].format(pid=pid)}; the others wait for it", "warning")

    def _say(self, text: str, level: str = "info") -> None:
        with suppress(OSError):  # a full disk, which the ranks meet too
            log = EventLog(self._folder.events_file)
            log.write(Logged(level=level, text=text))
            log.close()


def _state(pid: int) -> str:
    """The process's state; `gone` if it has ended."""
    try:
        return str(psutil.Process(pid).status())
    except psutil.Error:
        return "gone"
