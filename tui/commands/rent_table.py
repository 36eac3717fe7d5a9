"""`fttui plan --rent` as plain text: the GPUs that fit the job, the cheapest first, and why the others do not."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from backend import units
from backend.planner import fit
from backend.planner.device import Device
from backend.planner.estimates import Comparison
from backend.planner.rent import RentOffer
from backend.planner.rules import title
from tui.commands.plan_table import WIDTH, head

WIDE = 116
"""The least columns that have room for the memory and the source of the price."""

PRICES = (
    "USD: hours times the number of GPUs times the dated price of one in presets/gpus.toml; "
    "real offers vary widely. Several GPUs of a kind are listed only if they are faster than all cheaper offers."
)
CAVEATS = {
    "not measured": "not measured: no fttui run on several GPUs has been measured yet; the formulas predict it.",
    "ROCm untried": "ROCm untried: planned from the data sheet; fttui has not been tried on AMD GPUs.",
    "float16": "float16: the card has no bfloat16; float16 with loss scaling is used.",
}
SINGLE = "Each offer is a single box, not {boxes} as in this plan; without --rent the plan is for {boxes}."
TAKE = "* the GPU of this plan. Choose another with --gpu NAME or NAME:COUNT."


def table(comparison: Comparison, offers: Sequence[RentOffer], columns: int) -> str:
    """The list for a terminal of `columns`; `comparison` is that of the device to plan for."""
    carried = [offer for offer in offers if offer.estimate]
    out = [offer for offer in offers if not offer.estimate]
    lines = [*head(comparison), "", *_first(comparison, carried)]
    if carried:
        lines += ["", *_rows(carried, comparison.device, wide=columns >= WIDE)]
    if out:
        lines += ["", "Not suitable", *_reasons(out)]
    return "\n".join([*lines, "", *_notes(carried, comparison.device.nodes)]).rstrip()


def _first(comparison: Comparison, carried: Sequence[RentOffer]) -> Iterator[str]:
    """The answer in a sentence or two, before the list."""
    if comparison.device.here:
        yield from textwrap.wrap(_this_box(comparison), WIDTH)
    best = next((offer for offer in carried if offer.trains_now), None)
    if best is None:
        yield "No NVIDIA GPU with a dated price fits this job."
    elif best.estimate:
        took, usd = units.duration(best.hours * 3600), units.usd(best.usd)
        sentence = f"The cheapest that this version can train on: {best.device.label}, {title(best.estimate.method)}"
        yield from textwrap.wrap(f"{sentence}, about {took} and {usd}.", WIDTH)


def _this_box(comparison: Comparison) -> str:
    if comparison.recommended is None:
        return f"This box ({comparison.device.label}) does not fit the job."
    took = units.duration(comparison.methods[comparison.recommended].hours.point * 3600)
    return f"This box ({comparison.device.label}) does it with {title(comparison.recommended)} in about {took}."


def _rows(carried: Sequence[RentOffer], planned: Device, *, wide: bool) -> Iterator[str]:
    more = f"  {'memory':19}{'USD/h':>7}  price" if wide else ""
    yield f"  {'GPU':26} {'method':6}{'time':>10}{'USD':>8}  {'range':13}{'':12}{more}".rstrip()
    for offer in carried:
        mark = "*" if offer.device.label == planned.label else " "
        yield (_row(offer, mark) + (_more(offer) if wide else "")).rstrip()


def _row(offer: RentOffer, mark: str) -> str:
    seen = offer.estimate
    assert seen is not None and seen.cost_usd is not None
    span = f"{units.dollars(seen.cost_usd.low)}-{units.dollars(seen.cost_usd.high)}"
    took = units.duration(offer.hours * 3600)
    figures = f"{title(seen.method):6}{took:>10}{units.dollars(offer.usd):>8}  {span:13}"
    return f"{mark} {offer.device.label:26} {figures}{offer.caveat:12}"


def _more(offer: RentOffer) -> str:
    seen, price = offer.estimate, offer.device.price
    assert seen is not None and price is not None
    memory = f"{seen.memory.peak_bytes / units.GIB:.1f} of {fit.available(offer.device) / units.GIB:.1f} GiB"
    return f"  {memory:19}{price.typical:>7.2f}  {price.source}"


def _reasons(out: Sequence[RentOffer]) -> Iterator[str]:
    """A line each."""
    for offer in out:
        yield from textwrap.wrap(
            offer.out, WIDTH, initial_indent=f"  {offer.device.label:32}", subsequent_indent=" " * 34
        )


def _notes(carried: Sequence[RentOffer], boxes: int) -> Iterator[str]:
    caveats = {offer.caveat for offer in carried}
    single = [SINGLE.format(boxes=boxes)] if boxes > 1 else []
    for note in (*single, PRICES, *(text for caveat, text in CAVEATS.items() if caveat in caveats), TAKE):
        yield from textwrap.wrap(note, WIDTH)
