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
from tui import findings, text_table
from tui.plain import plain

LABEL, WIDTH = 12, 78
_WIDEST = 110


def table(comparison: Comparison, columns: int = WIDTH) -> str:
    """The table, for a terminal of `columns`."""
    width = max(40, min(columns, _WIDEST))
    above = [*_findings(comparison, width), *head(comparison), *_price(comparison, width)]
    if planned.stops(comparison.findings):
        return "\n".join(above)
    words = _words(comparison, comparison.recommended, width)
    return "\n".join([*above, "", *text_table.lines(list(_rows(comparison)), width), "", *words]).rstrip()


def _findings(comparison: Comparison, width: int) -> Iterator[str]:
    """Findings in the data, which come first: a comparison is worth no more than its data."""
    if comparison.findings:
        yield "What was found in the data"
        yield from (f"  {line}" for line in findings.lines(comparison.findings, width - 2))
        yield ""


def head(comparison: Comparison) -> Iterator[str]:
    """The box, model and data that the plan is for."""
    model, data, device = comparison.model, comparison.data, comparison.device
    yield f"{'box':{LABEL}}{plain(device.label, lines=False)}, {units.gib(fit.available(device))}" + (
        "" if device.here else " (not here)"
    )
    yield f"{'model':{LABEL}}{plain(model.shape.name, lines=False)}, {units.count(model.shape.parameters)} parameters"
    about = "" if data.exact else "about "
    name = plain(data.reference, lines=False) or "no data yet"
    yield f"{'data':{LABEL}}{name}: {units.counted(data.rows, 'row')}, {about}{units.count(data.tokens)} tokens"


def _price(comparison: Comparison, width: int) -> Iterator[str]:
    """The price that costs are computed from, with its source."""
    if origin := cost.origin(comparison.answers, comparison.device):
        yield textwrap.fill(
            plain(origin, lines=False), width, initial_indent=f"{'price':{LABEL}}", subsequent_indent=" " * LABEL
        )


def _rows(comparison: Comparison) -> Iterator[list[str]]:
    """One row per figure and one column per method; each figure with its unit."""
    seen = [comparison.methods[method] for method in METHODS]
    room = fit.available(comparison.device)
    yield ["", *(title(method) + (" *" if method == comparison.recommended else "") for method in METHODS)]
    yield ["fits", *(f"{x.fit if x.fit != 'fits' else 'yes'}, {_of(x, room)}" for x in seen)]
    yield ["time", *(_span(x.hours) for x in seen)]
    yield ["", *(_range(x.hours) for x in seen)]
    for phase in next(iter(seen)).hours_by_phase:
        yield [f"  {phase}", *(units.duration(3600 * x.hours_by_phase[phase]) for x in seen)]
    yield ["cost", *(_cost(x.cost_usd) for x in seen)]
    yield ["speed", *(_speed(x.tokens_per_second) for x in seen)]
    yield ["epochs", *(_epochs(x) for x in seen)]
    yield ["steps", *(f"{x.steps:,}, {x.plan.effective_batch} rows each" for x in seen)]
    yield ["trains", *(f"{units.count(x.trainable_parameters)} parameters" for x in seen)]
    yield ["saves", *(units.disk(x.checkpoint_bytes) for x in seen)]
    yield ["disk", *(units.disk(x.host.disk_bytes) for x in seen)]
    yield ["host RAM", *(units.gib(x.host.ram_bytes) for x in seen)]
    yield ["quality", *(x.quality_ceiling for x in seen)]
    yield ["forgetting", *(x.forgetting_risk for x in seen)]


def _words(comparison: Comparison, chosen: Method | None, width: int) -> Iterator[str]:
    if chosen is None:
        yield "Nothing to recommend"
    else:
        yield f"{title(chosen)} is set" if comparison.method_set_by else f"Why {title(chosen)}"
    yield from _points(comparison.reasons, width)
    for method in METHODS:
        if method != chosen and comparison.methods[method].why_not:
            yield f"Why not {title(method)}"
            yield from _points(comparison.methods[method].why_not, width)
    said = {found.text for found in comparison.findings}
    if notes := tuple(note for note in comparison.notes if note not in said):
        yield "Notes"
        yield from _points(notes, width)


def _epochs(seen: MethodEstimate) -> str:
    """The epochs of the plan, or `under 3` if the limit of steps ends the run before its third epoch does."""
    ended_by_steps = seen.plan.max_steps == seen.steps
    return f"under {seen.plan.epochs:g}" if ended_by_steps else f"{seen.plan.epochs:g}"


def _of(seen: MethodEstimate, room: int) -> str:
    return f"{seen.memory.peak_bytes / units.GIB:.1f} of {room / units.GIB:.1f} GiB"


def _span(hours: Interval) -> str:
    return units.duration(hours.point * 3600) if hours.point == hours.point else "unknown"


def _range(hours: Interval) -> str:
    """The interval in which the time is expected."""
    known = hours.point == hours.point
    return f"{units.duration(hours.low * 3600)} - {units.duration(hours.high * 3600)}" if known else ""


def _cost(cost_usd: Interval | None) -> str:
    """`$0.38 (0.19-1.08)`, without a range if there is none."""
    if cost_usd is None:
        return "no price"
    low, high = units.dollars(cost_usd.low), units.dollars(cost_usd.high)
    return units.usd(cost_usd.point) + (f" ({low}-{high})" if low != high else "")


def _speed(value: Interval) -> str:
    return f"{units.rate(value.point)} tokens/s" if value.point == value.point else "unknown"


def _points(sentences: tuple[str, ...], width: int) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(plain(sentence, lines=False), width, initial_indent="  - ", subsequent_indent="    ")
