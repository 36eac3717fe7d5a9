"""What still fits, from the compare screen: micro-batches and lengths around the plan of one method."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from backend import units
from tui.messages import Looked
from tui.theme import FIT_SIGNS
from tui.widgets.prose import Prose, stacked, wrapped

if TYPE_CHECKING:
    from backend.planner.sizes import Cell, Sizes

_LABEL, _COLUMN = 9, 10
"""Cells of a row's length, and of a figure with its sign."""
_LARGE = 1000
"""GiB from which a figure has no decimals."""


class SizesScreen(ModalScreen[None]):
    """A grid of peaks with a sign each, and the two figures that most users look for."""

    DEFAULT_CSS = """
    SizesScreen > VerticalScroll { width: 78; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
        background: $surface; border: round $border; border-title-style: bold; border-title-color: $primary;
        border-subtitle-color: $faint; }
    """
    AUTO_FOCUS: ClassVar[str | None] = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,b,enter,q", "close", "close")]

    def __init__(self, name: str, find: Callable[[], Sizes]) -> None:
        super().__init__()
        self._name = name
        self._find = find

    def compose(self) -> ComposeResult:
        """One text."""
        with VerticalScroll() as box:
            box.border_title = Content(f"What still fits: {self._name}")
            box.border_subtitle = Content("Esc closes")
            yield Prose(lambda width: wrapped(Content.styled("trying sizes …", "$faint"), width))

    def on_mount(self) -> None:
        """Look in a worker: hundreds of plans are made."""
        self.run_worker(lambda: self.post_message(Looked("sizes", self._find())), thread=True)

    def on_looked(self, event: Looked) -> None:
        """Show what was found."""
        event.stop()
        self.query_one(Prose).show(partial(grid, event.value))

    def action_close(self) -> None:
        """Back to the comparison."""
        self.dismiss(None)


def grid(found: Sizes, width: int) -> Content:
    """The two answers, the table, and what its signs mean."""
    batches = list(found.batches)
    while len(batches) > max(1, (width - _LABEL) // _COLUMN):
        batches.remove(max(x for x in batches if x != found.at[0]))
    head = Content.styled("tokens".ljust(_LABEL) + "".join(map(_head, batches)), "$faint")
    lines = [_line(found, length, batches) for length in found.lengths]
    return stacked([_answers(found, width), Content(" "), head, *lines, Content(" "), _legend(found, width)])


def _answers(found: Sizes, width: int) -> Content:
    if not found.longest:
        return wrapped(Content.styled("Not even one short sequence fits.", "$error"), width)
    rows = f"{found.most_rows:,} at a time" if found.most_rows else "not even one at a time"
    end = " (the model's context)" if found.is_context else ""
    return wrapped(
        Content.assemble(
            f"At {found.at[1]:,} tokens, as planned, the largest micro-batch is ",
            (rows, "bold $primary"),
            "; one at a time, the longest is ",
            (f"{found.longest:,} tokens{end}", "bold $primary"),
            ".",
        ),
        width,
    )


def _head(batch: int) -> str:
    return f"{batch:,} rows".rjust(_COLUMN) if batch > 1 else "1 row".rjust(_COLUMN)


def _line(found: Sizes, length: int, batches: list[int]) -> Content:
    label = (f"{length:,}".rjust(_LABEL - 2) + "  ", "bold" if length == found.at[1] else "$faint")
    return Content.assemble(label, *(_shown(found.cells[x, length], (x, length) == found.at) for x in batches))


def _shown(cell: Cell, is_planned: bool) -> tuple[str, str]:
    """`12.4 ✓`, with `r` if that makes it slower than the plan."""
    sign, style = FIT_SIGNS[cell.fit]
    peak = cell.peak_bytes / units.GIB
    text = f"{peak:,.{0 if peak >= _LARGE else 1}f}{'r' if cell.slower else ''} {sign}"
    return f"{f'[{text}]' if is_planned else f'{text} '}".rjust(_COLUMN), f"bold {style}" if is_planned else style


def _legend(found: Sizes, width: int) -> Content:
    texts = [
        f"Peak in GiB of {units.gib(found.room_bytes)}, for sequences of that many tokens. ✓ leaves "
        f"{units.memory(found.reserve_bytes)} in reserve, ! fits without it, ✗ does not. [ ] as planned.",
    ]
    if any(cell.slower for cell in found.cells.values()):
        texts.append("r: activations are recomputed or kept in host memory, which is slower.")
    return wrapped(Content.styled(" ".join(texts), "$faint"), width)
