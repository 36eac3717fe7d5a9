"""The layout of the panels of a run's screens: a hidden panel's room goes to the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from textual.containers import Container
from textual.geometry import Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

Regions = dict[str, Region]
Places = Callable[[Size, Sequence[str]], Regions]
"""The room and the ids of the panels that are shown -> the region of each."""
WIDE, VERY_WIDE, TALL = 100, 160, 29
"""Columns and lines of the room from which panels are side by side, and are larger."""
VERY_TALL = 42
"""Lines of the room from which memory and speed are charts."""
NARROW, LOW = 66, 16
"""Columns and lines of the room below which not all panels are shown."""
_REST = 0


class PanelLayout(Layout):
    """Puts the displayed children into the regions that `places` returns."""

    name = "panels"

    def __init__(self, places: Places) -> None:
        self._places = places

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:
        """One placement a child."""
        regions = self._places(size, [child.id or "" for child in children])
        none = Spacing()
        return [WidgetPlacement(regions[child.id or ""], Region().offset, none, child) for child in children]


class Panels(Container):
    """A container with the layout that `places` computes."""

    def __init__(self, places: Places) -> None:
        super().__init__(id="panels")
        self._panel_layout = PanelLayout(places)

    @property
    def layout(self) -> Layout:
        """The layout, which no style sheet changes."""
        return self._panel_layout


def live(size: Size, shown: Sequence[str]) -> Regions:
    """The live screen: curve, memory, gpu, samples, log."""
    tall = size.height >= TALL
    if size.width < NARROW or size.height < LOW:
        return _few(size.region, [name for name in ("curve", "log", "memory", "gpu", "samples") if name in shown])
    if size.width >= WIDE and tall:
        very = size.width >= VERY_WIDE
        left = _only(shown, curve=_REST, log=14 if very else 10)
        lines = 14 if very and size.height >= VERY_TALL else 7
        right = _only(shown, memory=lines, gpu=lines, samples=_REST)
        return _two_columns(size.region, left, right, 64 if very else 44)
    beside = _only(shown, memory=8 if tall else 6, gpu=9 if tall else 5)
    rows = _only(shown, curve=sum(beside.values()) or 11, samples=9 if tall else 5, log=_REST)
    if "curve" not in rows and beside:
        rows = {"beside": max(beside.values()), **rows}
    regions = dict(_rows(size.region, rows))
    if "beside" in regions:
        return regions | _side_by_side(regions.pop("beside"), list(beside))
    if "curve" in regions and beside:
        regions |= _two_columns(regions["curve"], {"curve": _REST}, beside, 34)
    return regions


def result(size: Size, shown: Sequence[str]) -> Regions:
    """The result screen: curve and figures above, answers (or what went wrong) and the next command below."""
    width, middle = 40, 6
    if size.width < NARROW or size.height < LOW:
        names = ("curve", "trouble", "next", "outcome", "samples")
        return _few(size.region, [name for name in names if name in shown])
    if size.height >= TALL:
        width, middle = (60, 16) if size.width >= VERY_WIDE else (48, 9) if size.width >= WIDE else (40, 9)
    top = [name for name in ("curve", "outcome") if name in shown]
    rows = ({"top": _REST} if top else {}) | _only(shown, samples=middle, trouble=middle, next=5)
    regions = dict(_rows(size.region, rows))
    if len(top) == 2:
        return regions | _two_columns(regions.pop("top"), {"curve": _REST}, {"outcome": _REST}, width)
    return regions | ({top[0]: regions.pop("top")} if top else {})


def overlay(size: Size, shown: Sequence[str]) -> Regions:
    """Two runs compared: their curves, and in what they differ."""
    if size.width >= WIDE:
        left, right = _only(shown, curve=_REST), _only(shown, differences=_REST)
        return _two_columns(size.region, left, right, 70 if size.width >= VERY_WIDE else 56)
    return _rows(size.region, _only(shown, curve=_REST, differences=max(6, size.height // 2 - 1)))


def _only(shown: Sequence[str], **heights: int) -> dict[str, int]:
    return {name: height for name, height in heights.items() if name in shown}


def _few(room: Region, names: Sequence[str]) -> Regions:
    """As many of `names` as there is room for, one above the other; a panel's key pressed twice shows any of them."""
    shown = names[: max(1, room.height // 6)]
    places = _rows(room, {name: 0 if name == shown[0] else 6 for name in shown})
    return {name: places.get(name, Region()) for name in names}


def _two_columns(room: Region, left: Mapping[str, int], right: Mapping[str, int], width: int) -> Regions:
    """`right` is `width` wide; if one of the two is empty, the other has all the room."""
    if not left or not right:
        return _rows(room, left or right)
    first, second = room.split_vertical(room.width - width)
    return {**_rows(first, left), **_rows(second, right)}


def _side_by_side(room: Region, names: Sequence[str]) -> Regions:
    if len(names) == 1:
        return {names[0]: room}
    return dict(zip(names, room.split_vertical(room.width // 2), strict=True))


def _rows(room: Region, heights: Mapping[str, int]) -> Regions:
    """One above the other; the one of height `_REST` (else the last) takes what the others leave."""
    names = list(heights)
    rest = next((name for name in names if heights[name] == _REST), names[-1] if names else "")
    others = sum(height for name, height in heights.items() if name != rest)
    regions, y = {}, room.y
    for name in names:
        height = max(0, room.height - others) if name == rest else heights[name]
        regions[name] = Region(room.x, y, room.width, height)
        y += height
    return regions
