"""Money: which price is used, and the energy cost of a box that the user owns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.planner import cost
from backend.planner.compare import compare
from backend.planner.estimates import Interval
from tests.shapes import CPU, RTX_4090, model, rows

CARD = replace(RTX_4090, watts=450.0)
OWN = replace(CARD, here=True)


def hourly(answers: Answers, device=CARD) -> float | None:  # type: ignore[no-untyped-def]
    rate = cost.price(answers, device)
    return rate.typical if rate else None


def test_the_users_price_goes_before_the_dated_one() -> None:
    assert hourly(Answers()) == 0.45
    assert hourly(Answers(price_usd_per_hour=2.0)) == 2.0
    assert hourly(Answers(), replace(CARD, price=None)) is None


@pytest.mark.parametrize(
    ("answers", "device"),
    [(Answers(price_usd_per_hour=0, kwh_price_usd=0.3), CARD), (Answers(kwh_price_usd=0.3), OWN)],
    ids=["price 0", "this box"],
)
def test_a_box_of_ones_own_costs_its_energy(answers: Answers, device) -> None:  # type: ignore[no-untyped-def]
    assert hourly(answers, device) == pytest.approx(0.45 * 0.3)
    said = cost.origin(answers, device)
    assert said.startswith("0.135 USD an hour: energy: 450 W, ") and said.endswith("at 0.3 USD a kWh")
    seen = compare(answers, device, model(), rows(5000)).methods["qlora"]
    assert seen.cost_usd is not None
    assert seen.cost_usd.point == pytest.approx(seen.hours.point * 0.135)


def test_a_rented_box_has_its_energy_in_the_price() -> None:
    assert hourly(Answers(price_usd_per_hour=2.0, kwh_price_usd=0.3)) == 2.0
    assert hourly(Answers(kwh_price_usd=0.3)) == 0.45  # a GPU elsewhere, at its dated price


def test_where_the_power_is_not_known_it_is_said() -> None:
    answers = Answers(price_usd_per_hour=0, kwh_price_usd=0.3)
    assert hourly(answers, CPU) == 0
    assert "not known" in cost.origin(answers, CPU)
    assert cost.origin(Answers(), CPU) == ""


def test_cost_is_hours_times_price_times_devices() -> None:
    rate = cost.price(Answers(), CARD)
    assert rate is not None
    assert cost.cost_usd(Interval(1, 2, 3), rate, replace(CARD, count=4)) == Interval(
        4 * rate.low, 8 * rate.typical, 12 * rate.high
    )
    assert cost.cost_usd(Interval(1, 2, 3), None, CARD) is None
    assert "and device" in cost.origin(Answers(), replace(CARD, count=4))
