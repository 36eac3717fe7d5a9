"""The lines of tests/bench/gpu.py as Markdown, for RESULTS.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

Line = dict[str, Any]
_FIGURES = "| tokens/s | predicted | allocated, GiB | predicted | reserved | card, predicted |"


def markdown(lines: Iterable[str]) -> str:
    """All tables that the lines have something for; what failed is named below them."""
    found = [*_whole(lines)]
    good = [x for x in found if "failed" not in x]
    parts = [
        *(_box(x) for x in good if x["part"] == "box"),
        _table("| run that must run out of memory | ended | times | what changed |", "relief", _relief, good),
        _table(f"| default plan {_FIGURES}", "default", _default, good),
        _table(f"| one plan {_FIGURES}", "row", _row, good),
        _table("| attention | a new length, s | the same again, s |", "shapes", _shapes, good),
        "\n".join(
            f"- not answered: {x['part']} {' '.join(x['asked'][1:])}: {x['failed']}" for x in found if "failed" in x
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _whole(lines: Iterable[str]) -> Iterator[Line]:
    """The complete lines: the last one may be half-written."""
    for line in lines:
        with suppress(ValueError):
            yield json.loads(line)


def _table(header: str, part: str, row: Callable[[Line], str], lines: list[Line]) -> str:
    rows = [row(x) for x in lines if x["part"] == part]
    return "\n".join([header, "|---" * (header.count("|") - 1) + "|", *rows]) if rows else ""


def _box(line: Line) -> str:
    if not line.get("gpu"):
        return "No GPU: tried on the CPU."
    grow = {True: "grow in place", False: "do not grow in place"}.get(line["segments_grow"], line["segments_grow"])
    whole = f" of {_gib(line['memory'])}" if line["memory"] else ""
    return (
        f"{line['gpu']}, {line['versions']}; torch can have {_gib(line['torch_memory'])}{whole} GiB. Attention by "
        f"{_kernels(line['attention'])}; segments: {grow}; a 4-bit layer's errors: {_errors(line['four_bit'])}."
    )


def _kernels(found: dict[str, str] | str) -> str:
    return found if isinstance(found, str) else ", ".join(f"{name}: {kernel}" for name, kernel in found.items())


def _errors(found: dict[str, Any] | str) -> str:
    if isinstance(found, str):
        return found
    return f"output {found['output_error']:.2%}, gradient {found['gradient_error']:.2%}"


def _relief(line: Line) -> str:
    return f"| {line['asked'][1]} | {line['state']} | {line['out_of_memory']} | {'; '.join(line['changed'])} |"


def _default(line: Line) -> str:
    plan = line["plan"]
    names = ("max_length", "micro_batch", "packing", "checkpointing", "chunked_loss", "optimizer", "attention")
    settings = ", ".join(f"{name}={plan[name]}" for name in names if name in plan)
    ended = "" if line["state"] == "done" else f" ({line['state']}: {line['error']})"
    return f"| {line['asked'][1]}{ended}: {settings} {_figures(line)}"


def _row(line: Line) -> str:
    _, name, *what = line["asked"]
    return f"| {name} {', '.join(what)} {_figures(line)}"


def _figures(line: Line) -> str:
    speeds = (line["tokens_per_second"], line["predicted_tokens_per_second"])
    sizes = (line["allocated"], line["predicted_allocated"], line["reserved"], line["predicted"])
    cells: Iterator[str] = iter(["?" if x is None else f"{x:,.0f}" for x in speeds] + [_gib(x) for x in sizes])
    return f"| {' | '.join(cells)} |"


def _shapes(line: Line) -> str:
    new, known = (", ".join(f"{x:.2f}" for x in line[name]) for name in ("new", "known"))
    return f"| {line['asked'][3]} | {new} | {known} |"


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f}"
