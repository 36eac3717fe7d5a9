"""Throughput, and the GPU's utilisation, temperature and power."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable

from backend import units
from backend.run.history import History
from tui.glyphs import is_ascii
from tui.panels import measures
from tui.panels.chart import Chart
from tui.panels.lines import Row
from tui.panels.panel import Clock, Panel, row_width
from tui.panels.spark import CHART_LINES, sparkline

_LABEL = 10
MUCH_SLOWER = 0.1
"""Fraction by which a device may compute longer than the others before it is reported."""


def slowest(history: History) -> tuple[int, float] | None:
    """The device that computes longest in a step, from 0, and by which part longer than the median of the others."""
    busy = history.busy_seconds
    if len(busy) < 2:
        return None
    number = max(range(len(busy)), key=busy.__getitem__)
    usual = statistics.median([*busy[:number], *busy[number + 1 :]])
    return (number, busy[number] / usual - 1) if usual > 0 else None


class GpuPanel(Panel):
    """Throughput against the prediction, the GPU's readings, and the step's own figures."""

    TITLE = "Speed"
    KEY = "3"

    def __init__(self, history: History, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(history, clock, id=id)
        self._chart = Chart(history, measures.SPEED)

    def note(self) -> Row:
        """Throughput: the figure that is read most often."""
        rate = self.history.last_step.tokens_per_second
        return ((f"{units.rate(rate):>7}", "accent"), (" tok/s", "faint")) if rate is not None else ()

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The most important row first, as a small panel shows only the first ones."""
        rows = [
            row for row in (self._device(width), self._slowest(), self._predicted(), self._step(), self._norm()) if row
        ]
        return [*rows, *self._over_time(width, height - len(rows))]

    def _over_time(self, width: int, height: int) -> Iterable[Row]:
        """Speed so far: a chart in a large panel, a line of signs in a small one."""
        if height >= CHART_LINES:
            return [(), *self._chart.rows(self.history, width, height - 1, in_ascii=is_ascii(self.app))]
        values = measures.SPEED.series(self.history).values
        return [sparkline("over time", values, width, _LABEL)] if height > 0 else []

    def _device(self, width: int) -> Row:
        event = self.history.gpu
        readings = [
            (event.utilisation_percent, "%", 3),
            (event.temperature_c, "°C", 3),
            (event.power_watts, "W", 4),
        ]
        known: list[Row] = [
            ((f"{value:>{digits}.0f}", ""), (f" {unit}  ", "faint"))
            for value, unit, digits in readings
            if value is not None
        ]
        if known:
            return (("GPU ", "faint"), *(span for row in known for span in row))
        if self.history.memory.kind == "rss":
            return self._cpu(width)
        return (("GPU readings: none yet", "faint"),)

    def _cpu(self, width: int) -> Row:
        """`CPU  92 % of 16 cores, this run  87 %`, or as much of it as `width` columns hold."""
        seen = self.history.cpu
        if seen.load_percent is None:
            return (("no GPU: CPU training", "faint"),)
        row: Row = (("CPU ", "faint"), (f"{seen.load_percent:>3.0f}", ""), (f" % of {seen.cores} cores", "faint"))
        if (own := seen.own_percent) is None:
            return row
        whole: Row = (*row, (", this run ", "faint"), (f"{own:>3.0f}", ""), (" %", "faint"))
        return whole if row_width(whole) <= width else (*row[:2], (" %", "faint"), *whole[len(row) :])

    def _slowest(self) -> Row:
        """The device that the others wait for, if there are several."""
        if (found := slowest(self.history)) is None:
            return ()
        number, more = found
        style = "warn" if more >= MUCH_SLOWER else ""
        return (("slowest: device ", "faint"), (f"{number} ", "strong"), (f"+{more:.0%}", style), (" a step", "faint"))

    def _predicted(self) -> Row:
        rate = self.history.predicted.tokens_per_second
        return (("predicted ", "faint"), (f"{units.rate(rate):>7}", ""), (" tok/s", "faint")) if rate else ()

    def _step(self) -> Row:
        seconds, rate = self.history.last_step.step_seconds, self.history.last_step.learning_rate
        row: Row = (("step ", "faint"), (f"{seconds:>7.2f} s  ", "")) if seconds is not None else ()
        return (*row, ("rate ", "faint"), (f"{rate:.1e}", "")) if rate is not None else row

    def _norm(self) -> Row:
        norm = self.history.last_step.grad_norm
        return (("gradient norm ", "faint"), (f"{norm:.2f}", "")) if norm is not None else ()
