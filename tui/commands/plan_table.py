"""The comparison as plain text: three columns, the reasons below."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from backend import units
from backend.answers import METHODS, Method
from backend.planner import cost, fit
from backend.planner import findings as planned
from backend.planner.estimates import Comparison, Interval, MethodEstimate
from backend.planner.rules import title
from tui import findings
from tui.plain import plain

LABEL, COLUMN, WIDTH = 12, 22, 78


def table(comparison: Comparison) -> str:
    """The table, at most 78 columns wide."""
    above = [*_findings(comparison), *head(comparison), *_price(comparison)]
    if planned.stops(comparison.findings):
        return "\n".join(above)
    return "\n".join([*above, "", *_columns(comparison), "", *_words(comparison, comparison.recommended)]).rstrip()


def _findings(comparison: Comparison) -> Iterator[str]:
    """What was found in the data comes first: nothing below is worth more than the data."""
    if comparison.findings:
        yield "What was found in the data"
        yield from (f"  {line}" for line in findings.lines(comparison.findings, WIDTH - 2))
        yield ""


def head(comparison: Comparison) -> Iterator[str]:
    """What the plan is for: box, model, data."""
    model, data, device = comparison.model, comparison.data, comparison.device
    yield f"{'box':{LABEL}}{plain(device.label, lines=False)}, {units.gib(fit.available(device))}" + (
        "" if device.here else " (not here)"
    )
    yield f"{'model':{LABEL}}{plain(model.shape.name, lines=False)}, {units.count(model.shape.parameters)} parameters"
    about = "" if data.exact else "about "
    name = plain(data.reference, lines=False) or "no data yet"
    yield f"{'data':{LABEL}}{name}: {units.counted(data.rows, 'row')}, {about}{units.count(data.tokens)} tokens"


def _price(comparison: Comparison) -> Iterator[str]:
    """The price that costs are computed from, with its source."""
    if origin := cost.origin(comparison.answers, comparison.device):
        yield textwrap.fill(
            plain(origin, lines=False), WIDTH, initial_indent=f"{'price':{LABEL}}", subsequent_indent=" " * LABEL
        )


def _columns(comparison: Comparison) -> Iterator[str]:
    seen = [comparison.methods[method] for method in METHODS]
    mark = {method: title(method) + (" *" if method == comparison.recommended else "") for method in METHODS}
    yield _row("", [mark[method] for method in METHODS])
    room = fit.available(comparison.device)
    yield _row("fits, GiB", [f"{x.fit if x.fit != 'fits' else 'yes'}, {_of(x, room)}" for x in seen])
    yield _row("time", [_span(x.hours) for x in seen])
    yield _row("", [_range(x.hours) for x in seen])
    yield _row("cost", [_cost(x.cost_usd) for x in seen])
    yield _row("tokens/s", [_number(x.tokens_per_second) for x in seen])
    yield _row("epochs", [_epochs(x) for x in seen])
    yield _row("steps", [f"{x.steps:,}, {x.plan.effective_batch} rows each" for x in seen])
    yield _row("trains", [units.count(x.trainable_parameters) for x in seen])
    yield _row("saves", [units.disk(x.checkpoint_bytes) for x in seen])
    yield _row("disk", [units.disk(x.host.disk_bytes) for x in seen])
    yield _row("host RAM", [units.gib(x.host.ram_bytes) for x in seen])
    yield _row("quality", [x.quality_ceiling for x in seen])
    yield _row("forgetting", [x.forgetting_risk for x in seen])


def _words(comparison: Comparison, chosen: Method | None) -> Iterator[str]:
    said = (
        f"{title(chosen)} is set" if chosen and comparison.method_set_by else f"Why {title(chosen)}" if chosen else ""
    )
    yield said or "Nothing to recommend"
    yield from _points(comparison.reasons)
    for method in METHODS:
        if method != chosen and comparison.methods[method].why_not:
            yield f"Why not {title(method)}"
            yield from _points(comparison.methods[method].why_not)
    said = {found.text for found in comparison.findings}
    if notes := tuple(note for note in comparison.notes if note not in said):
        yield "Notes"
        yield from _points(notes)


def _row(label: str, cells: list[str]) -> str:
    return f"{label:{LABEL}}" + "".join(f"{cell:{COLUMN}}" for cell in cells).rstrip()


def _epochs(seen: MethodEstimate) -> str:
    """The epochs of the plan; `under` them if the limit of steps ends the run earlier."""
    ended_by_steps = seen.plan.max_steps == seen.steps
    return f"under {seen.plan.epochs:g}" if ended_by_steps else f"{seen.plan.epochs:g}"


def _of(seen: MethodEstimate, room: int) -> str:
    return f"{seen.memory.peak_bytes / units.GIB:.1f} of {room / units.GIB:.1f}"


def _span(hours: Interval) -> str:
    return units.duration(hours.point * 3600) if hours.point == hours.point else "unknown"


def _range(hours: Interval) -> str:
    """The interval in which the time is expected."""
    known = hours.point == hours.point
    return f"{units.duration(hours.low * 3600)} to {units.duration(hours.high * 3600)}" if known else ""


def _cost(cost_usd: Interval | None) -> str:
    """`$0.38 (0.19-1.08)`, without a range if there is none."""
    if cost_usd is None:
        return "no price"
    low, high = units.dollars(cost_usd.low), units.dollars(cost_usd.high)
    return units.usd(cost_usd.point) + (f" ({low}-{high})" if low != high else "")


def _number(value: Interval) -> str:
    return units.rate(value.point) if value.point == value.point else "unknown"


def _points(sentences: tuple[str, ...]) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(plain(sentence, lines=False), WIDTH, initial_indent="  - ", subsequent_indent="    ")
