"""What a run costs: hours x price x devices, with where the price comes from."""

from __future__ import annotations

from backend.answers import Answers
from backend.planner.device import Device, Price
from backend.planner.outlook import Interval


def price(answers: Answers, device: Device) -> Price | None:
    """The user's price, else the dated one of presets/gpus.toml, else None: it is asked for, never guessed."""
    if answers.price_usd_per_hour is not None:
        own = answers.price_usd_per_hour
        return Price(own, own, own, "you")
    return device.price


def cost_usd(hours: Interval, rate: Price | None, device: Device) -> Interval | None:
    """USD of the run; None where no price is known."""
    if rate is None:
        return None
    low, point, high = (
        time * dollars * device.count
        for time, dollars in ((hours.low, rate.low), (hours.point, rate.typical), (hours.high, rate.high))
    )
    return Interval(low, point, high)
