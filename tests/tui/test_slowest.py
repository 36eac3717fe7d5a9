"""Several devices: the one that the others wait for is named; with a single device nothing is."""

from __future__ import annotations

import pytest

from backend.run.event_log import EventLog
from backend.run.events import CpuReading, DevicesTimed, MemoryReading
from backend.run.folder import RunFolder
from backend.run.history import History, read
from tests.tui.story import START, Story, make_run, tell
from tui.panels.gpu import GpuPanel, slowest
from tui.panels.health import FINE, verdict


def run_with(busy: list[float]) -> tuple[RunFolder, History, float]:
    folder, story = make_run(), Story()
    at = tell(folder, story.begin(), story.steps(40))
    log = EventLog(folder.events_file)
    log.write(DevicesTimed(t=at, step=40, busy_seconds=busy))
    log.close()
    return folder, read(folder.events_file), at


@pytest.mark.parametrize(
    ("busy", "wanted"),
    [([], None), ([2.0], None), ([2.0, 2.0], (0, 0.0)), ([2.0, 2.1, 2.5, 2.0], (2, 0.25)), ([0.0, 0.0], None)],
)
def test_the_slowest_is_compared_with_the_median_of_the_others(
    busy: list[float], wanted: tuple[int, float] | None
) -> None:
    assert slowest(run_with(busy)[1]) == (pytest.approx(wanted) if wanted else None)


def test_the_panel_names_it_and_the_verdict_warns_when_it_is_much_slower() -> None:
    _, past, at = run_with([2.0, 2.0, 2.6])
    rows = ["".join(text for text, _ in row) for row in GpuPanel(past).body(40, 6)]
    assert rows[1] == "slowest: device 2 +30% a step"
    assert verdict(past, at).text == "device 2 is 30% slower than the others"
    _, even, at = run_with([2.0, 2.0, 2.05])
    assert verdict(even, at) is FINE


def test_on_a_cpu_its_load_is_said() -> None:
    folder = make_run(device="cpu")
    log = EventLog(folder.events_file)
    log.write(MemoryReading(t=START, kind="rss", allocated_bytes=1))
    past = read(folder.events_file)
    assert "".join(text for text, _ in next(iter(GpuPanel(past).body(40, 6)))) == "no GPU: CPU training"
    log.write(CpuReading(t=START, load_percent=92.4, own_percent=87.6, cores=16))
    log.close()
    past = read(folder.events_file)
    said = "".join(text for text, _ in next(iter(GpuPanel(past).body(40, 6))))
    assert said == "CPU  92 % of 16 cores, this run  88 %" and len(said) <= 40
