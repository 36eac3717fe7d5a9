"""Which GPU to rent: the whole catalogue, the cheapest first, and a true reason for each that is excluded."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.hardware import catalogue
from backend.planner import devices, rent
from backend.planner.compare import compare
from backend.planner.fit import available
from backend.planner.rent import RentOffer
from tests.shapes import LLAMA_70B, model, rows

JOB = Answers(budget_usd=40)


def carried(offers: tuple[RentOffer, ...]) -> list[RentOffer]:
    return [offer for offer in offers if offer.estimate]


def out(offers: tuple[RentOffer, ...]) -> dict[str, str]:
    return {offer.device.name: offer.out for offer in offers if not offer.estimate}


def test_every_gpu_is_there_and_the_cheapest_is_first() -> None:
    offers = rent.offers(JOB, model(), rows(5000))
    assert {offer.device.name for offer in offers} == {spec.name for spec in catalogue.specs()}
    dollars = [offer.usd for offer in carried(offers)]
    assert dollars == sorted(dollars)
    assert offers[: len(dollars)] == tuple(carried(offers))  # excluded GPUs come last
    assert all(offer.out.endswith(".") and math.isnan(offer.usd) for offer in offers[len(dollars) :])


def test_an_offer_is_what_the_comparison_says_of_that_gpu() -> None:
    for offer in carried(rent.offers(JOB, model(), rows(5000)))[:12]:
        seen = compare(JOB, devices.named(offer.spec), model(), rows(5000))
        assert offer.method == seen.recommended
        assert offer.estimate == seen.methods[offer.method or "lora"]


def test_a_larger_number_is_there_only_where_it_is_faster_than_all_that_cost_less() -> None:
    offers = carried(rent.offers(JOB, model(), rows(5000)))
    seen: set[str] = set()
    for place, offer in enumerate(offers):
        if offer.device.name in seen:
            assert all(x.hours > offer.hours for x in offers[:place] if x.method == offer.method)
        seen.add(offer.device.name)
    assert any(offer.device.count > 1 for offer in offers)


def test_what_drops_out_says_memory_money_time_or_price() -> None:
    assert out(rent.offers(Answers(), model(LLAMA_70B), rows(5000)))["RTX 4090"].startswith("Even ")
    over = out(rent.offers(Answers(budget_usd=1), model(), rows(5000)))["A10G"]
    assert "LoRA costs about $" in over and over.endswith("over $1.")
    late = out(rent.offers(Answers(deadline_hours=0.05), model(), rows(5000)))["T4"]
    assert "takes about" in late and late.endswith("past 0.05 h.")
    assert out(rent.offers(Answers(), model(), rows(5000)))["A40"].startswith("No dated price; LoRA would take")


def test_full_fine_tuning_is_sharded_over_several_and_adapters_are_not() -> None:
    full = rent.offers(Answers(set=("method=full",)), model(LLAMA_70B), rows(5000))
    several = next(x for x in full if x.device.name == "H200 SXM")
    assert several.estimate is not None and several.device.count > 1
    assert several.estimate.memory.peak_bytes <= available(several.device)
    small = out(full)["RTX 4090"]
    assert small.startswith("Full needs") and "on each of 8; each has 23.5 GiB." in small
    adapters = rent.offers(Answers(set=("method=qlora",)), model(LLAMA_70B), rows(5000))
    assert "RTX 4090" in out(adapters)  # eight replicas do not make one smaller


def test_a_deadline_brings_in_several_gpus() -> None:
    single = next(x for x in carried(rent.offers(JOB, model(), rows(5000))) if x.device.name == "L40S")
    hurried = rent.offers(replace(JOB, deadline_hours=single.hours * 0.7), model(), rows(5000))
    assert next(x for x in carried(hurried) if x.device.name == "L40S").device.count > 1


def test_the_users_price_is_that_of_the_named_gpu() -> None:
    answers = Answers(gpu="RTX 4090:2", price_usd_per_hour=0.01)
    offers = carried(rent.offers(answers, model(), rows(5000)))
    assert offers[0].device.name == "RTX 4090"
    assert offers[0].device.price is not None and offers[0].device.price.source == "you"
    dated = next(x for x in offers if x.device.name == "L40S").device.price
    assert dated is not None and dated.typical > 0.01


@pytest.mark.parametrize(
    ("gpu", "caveat", "trains_now"),
    [("T4", "float16", True), ("MI300X", "ROCm untried", False), ("L40S:4", "not measured", True), ("L40S", "", True)],
)
def test_what_is_not_as_with_the_others_is_said(gpu: str, caveat: str, trains_now: bool) -> None:
    offer = RentOffer(devices.named(gpu), None)
    assert (offer.caveat, offer.trains_now) == (caveat, trains_now)


def test_only_the_number_that_the_user_set_is_looked_at() -> None:
    offers = rent.offers(Answers(set=("processes=2",)), model(), rows(5000))
    assert {offer.device.count for offer in offers} == {2}


def test_a_gpu_of_ones_own_costs_its_energy_here_too() -> None:
    own = replace(JOB, gpu="4090", price_usd_per_hour=0, kwh_price_usd=0.3)
    mine = next(x for x in carried(rent.offers(own, model(), rows(5000))) if x.device.name == "RTX 4090")
    assert mine.device.price is not None and mine.device.price.source.startswith("energy")
    assert 0 < mine.usd < 0.3
