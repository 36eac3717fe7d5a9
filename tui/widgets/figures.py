"""An estimate in words: the same figures in the same units on every screen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from textual.content import Content

from backend import units
from tui.plain import plain
from tui.theme import FIT_SIGNS, METHOD_NAMES
from tui.widgets.prose import sentences, stacked

if TYPE_CHECKING:
    from backend.planner.estimates import Comparison, Interval, MethodEstimate

UNKNOWN = "unknown"


def is_known(value: float) -> bool:
    """False for NaN, which the planner returns for figures that it can't predict."""
    return not math.isnan(value)


def hours(value: float) -> str:
    """Hours as `3 h 05 m`, `52 m 10 s`, `40 s`."""
    return units.duration(value * 3600) if is_known(value) else UNKNOWN


def hour_range(value: Interval) -> str:
    """`2 h 24 m–4 h 06 m`."""
    return f"{hours(value.low)}–{hours(value.high)}" if is_known(value.point) else ""


def speed(value: float) -> str:
    """`2,870 tok/s`, with decimals below ten."""
    if not is_known(value):
        return UNKNOWN
    return f"{units.rate(value)} tok/s"


def cost(value: Interval | None) -> str:
    """`$1.40`."""
    return units.usd(value.point) if value is not None and is_known(value.point) else "no price"


def cost_range(value: Interval | None) -> str:
    """`1.08–1.85`, `11–19`; empty if there is no range."""
    if value is None or not is_known(value.point) or value.low == value.high:
        return ""
    low, high = (f"{x:,.0f}" if x >= 9.995 else units.dollars(x) for x in (value.low, value.high))
    return f"{low}–{high}"


def of_room(used: int, room: int) -> str:
    """`12.4 of 23.5 GiB`, both in the unit of the larger."""
    if max(used, room) >= units.GIB:
        return f"{used / units.GIB:.1f} of {room / units.GIB:.1f} GiB"
    return f"{used / units.MIB:.0f} of {room / units.MIB:.0f} MiB"


def fit_word(estimate: MethodEstimate) -> Content:
    """`✓ fits`, `! tight`, `✗ too big`: a sign, a word and a colour; `! blocked` if not memory is in the way."""
    if estimate.fit != "no" and estimate.obstacles:
        return Content.styled("! blocked", "bold $warning")
    sign, style = FIT_SIGNS[estimate.fit]
    word = {"fits": "fits", "tight": "tight", "no": "too big"}[estimate.fit]
    return Content.styled(f"{sign} {word}", f"bold {style}")


def why_first(comparison: Comparison) -> str:
    """`★ recommended`; `● you set it` or `● set by preset NAME` if the planner had no choice."""
    setter = comparison.method_set_by
    if not setter:
        return "★ recommended"
    return "● you set it" if setter == "you" else f"● set by {plain(setter, lines=False)}"


def in_short(comparison: Comparison, width: int) -> Content:
    """The comparison, a line a method: `★ QLoRA  ✓ fits  12.4 of 23.5 GiB  3.1 h  $1.40`."""
    from backend.planner import fit

    room = fit.available(comparison.device)
    first = why_first(comparison)[0]
    lines = []
    for method, seen in comparison.methods.items():
        best = method == comparison.recommended
        word = fit_word(seen)
        lines.append(
            Content.assemble(
                (f"{first if best else ' '} {METHOD_NAMES[method]:<7}", "bold $primary" if best else "$foreground"),
                word,
                " " * (11 - word.cell_length),
                f"{of_room(seen.memory.peak_bytes, room):>20}{hours(seen.hours.point):>11}{cost(seen.cost_usd):>12}",
            )
        )
    if comparison.recommended is None:
        lines.append(sentences(comparison.reasons[:1], width, "✗", "$error"))
    return stacked(lines)


def change(before: MethodEstimate, after: MethodEstimate) -> str:
    """The effect of a what-if: `+2.1 GiB, +48 m 00 s, +$0.40`."""
    parts = []
    memory = after.memory.peak_bytes - before.memory.peak_bytes
    if abs(memory) >= units.MIB:
        parts.append(_signed(memory, units.memory(abs(memory))))
    time = after.hours.point - before.hours.point
    if is_known(time) and abs(time) * 3600 >= 1:
        parts.append(_signed(time, hours(abs(time))))
    if before.cost_usd and after.cost_usd and abs(dollars := after.cost_usd.point - before.cost_usd.point) >= 0.005:
        parts.append(_signed(dollars, units.usd(abs(dollars))))
    return ", ".join(parts) or "no change"


def _signed(value: float, text: str) -> str:
    return f"{'+' if value > 0 else '−'}{text}"
