"""What the user asks of a run, as every rank hears it at the same moment."""

from __future__ import annotations

from backend.run.control import Command, Inbox
from backend.training.parallel.ranks import Ranks


class Commands:
    """The first rank's inbox, told to all."""

    def __init__(self, inbox: Inbox, ranks: Ranks) -> None:
        self._inbox, self._ranks = inbox, ranks

    def poll(self) -> list[Command]:
        """Commands since the last call, in order."""
        return self._ranks.of_first(self._inbox.poll() if self._ranks.is_first else [])

    def has_end(self) -> bool:
        """A stop or a pause waits for the next `poll`: what takes long is better broken off."""
        return self._ranks.of_first(self._ranks.is_first and self._inbox.has_end())
