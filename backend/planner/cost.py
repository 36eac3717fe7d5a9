"""What a run costs: hours x price x devices, with the price's source; on a box that the user owns, the energy."""

from __future__ import annotations

from backend.answers import Answers
from backend.planner.device import Device, Price
from backend.planner.estimates import Interval

_YOU = "you"


def price(answers: Answers, device: Device) -> Price | None:
    """The user's price, else the dated one of presets/gpus.toml, else None: a price is asked for, never guessed.

    A box that the user owns (its price is 0, or it is this box and no price is given) costs its energy, if the price
    of a kilowatt-hour is given and the device's power is known.
    """
    own = answers.price_usd_per_hour
    yours = own == 0 or (own is None and device.here)
    if yours and answers.kwh_price_usd is not None and device.watts is not None:
        return _energy(answers.kwh_price_usd, device.watts, device.here)
    return device.price if own is None else Price(own, own, own, _YOU)


def _energy(kwh_price_usd: float, watts: float, here: bool) -> Price:
    """An hour of one device at its power limit; the rest of the box is not counted."""
    hourly = watts / 1000 * kwh_price_usd
    whence = "its power limit" if here else "its board power by presets/gpus.toml"
    return Price(hourly, hourly, hourly, f"energy: {watts:g} W, {whence}, at {kwh_price_usd:g} USD a kWh")


def cost_usd(hours: Interval, rate: Price | None, device: Device) -> Interval | None:
    """USD of the run; None if no price is known."""
    if rate is None:
        return None
    low, point, high = (
        time * dollars * (1 if device.kind == "cpu" else device.count)
        for time, dollars in ((hours.low, rate.low), (hours.point, rate.typical), (hours.high, rate.high))
    )
    return Interval(low, point, high)


def origin(answers: Answers, device: Device) -> str:
    """Where the price comes from, in a few words; empty if none is known.

    `0.45 USD an hour: Vast 0.31-0.45, May 2026`, or `0.135 USD an hour: energy: 450 W, its power limit, at ...`.
    """
    rate = price(answers, device)
    if rate is None:
        return ""
    whose = "your price" if rate.source == _YOU else rate.source
    more = ""
    if answers.kwh_price_usd is not None and device.watts is None and rate.typical == 0:
        more = "; energy is not in it, since the power of this device is not known"
    return f"{rate.typical:.3g} USD an hour{' and device' if device.count > 1 else ''}: {whose}{more}"
