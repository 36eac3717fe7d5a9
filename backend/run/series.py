"""A value by step, in little memory for any length of run."""

from __future__ import annotations

from array import array


class Series:
    """A value by step. Only the last of several values at one step is kept, so that a long run stays small."""

    def __init__(self) -> None:
        self.steps: array[int] = array("q")
        self.values: array[float] = array("d")

    def add(self, step: int, value: float | None) -> None:
        """Add the value at `step`; None, for what was not measured, adds nothing."""
        if value is None:
            return
        if self.steps and self.steps[-1] == step:
            self.values[-1] = value
            return
        self.steps.append(step)
        self.values.append(value)

    def forget_after(self, step: int) -> None:
        """Drop what came after `step`."""
        while self.steps and self.steps[-1] > step:
            self.steps.pop()
            self.values.pop()
