"""Text cut and padded to a width in terminal cells: outside text may hold letters that take two."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells, with an ellipsis if something is lost."""
    return set_cell_size(cut(text, width), max(0, width))


def cut_start(text: str, width: int) -> str:
    """The end of `text` in at most `width` cells: what tells paths and hub ids apart."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}" if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """`text` in at most `width` cells: its beginning and its end, as names may differ in either."""
    if cell_len(text) <= width:
        return text
    head = set_cell_size(text, max(0, (width - 1) * 3 // 5)).rstrip()
    return head + cut_start(text, width - cell_len(head))


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis if something is lost."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…" if width > 0 else ""
