"""Repaints that send only what changed.

Textual's partial update crops each span at its right end only: a figure that changes at the end of a row sends the row
from the widget's left edge, once for every span. Cropped at both ends, a live screen sends a third. This leans on
internals of the pinned Textual version; a test holds the bytes.
"""

from __future__ import annotations

from rich.console import Console
from textual._compositor import ChopsUpdate, Compositor
from textual.strip import Strip


class CroppedUpdate(ChopsUpdate):
    """A partial update whose spans begin at the first changed cell."""

    def render_segments(self, console: Console) -> str:
        """Cursor movements and text, as a terminal wants them."""
        return "".join(
            f"\x1b[{y + 1};{max(x, first) + 1}H{strip.crop(max(0, first - x), min(end, last) - x).render(console)}"
            for y, first, last in self.spans
            for x, end, strip in self._pieces(y)
            if x < last and end > first
        )

    def _pieces(self, y: int) -> list[tuple[int, int, Strip]]:
        """The strips of row `y` with the columns they begin and end at."""
        ends = self.chop_ends[y]
        return [(x, end, strip) for end, (x, strip) in zip(ends, self.chops[y].items(), strict=False) if strip]


class CroppingCompositor(Compositor):
    """Textual's compositor with cropped partial updates."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """What changed since the last one."""
        update = super().render_partial_update()
        return CroppedUpdate(update.chops, update.spans, update.chop_ends) if update is not None else None
