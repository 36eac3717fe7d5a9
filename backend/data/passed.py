"""What is counted of the rows while they are gone through: those that are left out, and odd turns."""

from __future__ import annotations

from backend.data.faults import LeftOuts
from backend.data.finding import Finding
from backend.data.oddities import Oddities


class Passed:
    """Counts of the last time that all rows were gone through, in bounded memory."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was counted."""
        self.left = LeftOuts()
        self.odd = Oddities()
        self.used = 0

    def end(self) -> None:
        """UserError (field `data`) if too many rows are unreadable."""
        self.left.check(self.used + self.left.total)

    def findings(self) -> tuple[Finding, ...]:
        """What was counted, in sentences."""
        return (*self.left.findings(), *self.odd.findings())
