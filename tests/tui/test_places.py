"""The layout of panels: they share the room without gaps or overlaps, whichever are hidden."""

from __future__ import annotations

from itertools import combinations

import pytest
from textual.geometry import Size

from tui.screens import places

LIVE = ("curve", "memory", "gpu", "samples", "log")
RESULT = ("curve", "outcome", "samples", "next")
SIZES = [Size(80, 21), Size(120, 37), Size(200, 47), Size(120, 21), Size(80, 40)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("place", "names"), [(places.live, LIVE), (places.result, RESULT)], ids=["live", "result"])
def test_whatever_is_shown_fills_the_room(place: places.Places, names: tuple[str, ...], size: Size) -> None:
    for count in range(1, len(names) + 1):
        for shown in combinations(names, count):
            regions = place(size, shown)
            assert set(regions) == set(shown)
            assert sum(region.area for region in regions.values()) == size.area, shown
            assert not any(a.overlaps(b) for a, b in combinations(regions.values(), 2)), shown
            assert all(size.region.contains_region(region) for region in regions.values()), shown


def test_a_curve_next_to_readings_keeps_their_height() -> None:
    regions = places.live(Size(80, 21), ("curve", "gpu", "log"))
    assert regions["curve"].height == regions["gpu"].height == 5
    assert regions["log"].height == 16
