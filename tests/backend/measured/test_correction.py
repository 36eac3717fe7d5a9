"""The arithmetic of the correction: how much each run counts."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest

from backend.answers import Method
from backend.measured.correction import Calibration, Correction, Run

SIZE = 8_000_000_000


def ran(method: Method = "lora", **observed: Any) -> Run:
    return Run(method, **{"parameters": SIZE, "predicted_fixed_bytes": 1000} | observed)


def lora(*runs: Run, parameters: int = SIZE) -> Correction:
    return Calibration(runs).of("lora", parameters)


def test_runs_without_usable_figures_change_nothing() -> None:
    assert lora(ran()) == Correction(confidence=0.0)


@pytest.mark.parametrize("name", ["resident", "transient", "slack", "loading", "overhead", "speed"])
def test_more_runs_count_more(name: str) -> None:
    observed: dict[str, Any] = {name: 0.9}
    once, often = lora(ran(**observed)), lora(*[ran(**observed)] * 12)
    first, later = getattr(once, name), getattr(often, name)
    assert 0.9 < later < first < 1
    assert math.log(first) / math.log(0.9) == pytest.approx(1 / 1.5)
    untouched = {"resident", "transient", "slack", "loading", "overhead", "speed"} - {name}
    assert all(getattr(once, other) == 1 for other in untouched), "one component, not one factor for all"


def test_one_odd_run_does_not_move_the_rest() -> None:
    usual = lora(*[ran(transient=0.8)] * 4)
    with_odd = lora(ran(transient=2.4), *[ran(transient=0.8)] * 4)
    assert with_odd.transient == pytest.approx(usual.transient, rel=0.03)


def test_speed_is_of_the_method_alone_and_memory_mostly() -> None:
    runs = Calibration((ran("qlora", speed=0.5, transient=2.0), ran("qlora", speed=0.5, transient=2.0)))
    own, other = runs.of("qlora", SIZE), runs.of("full", SIZE)
    assert own.speed < 0.6 and own.runs == 2
    assert (other.speed, other.runs, other.confidence) == (1, 0, 0)
    assert 1 < other.transient < own.transient and other.memory_runs == 2


def test_a_method_s_own_run_outweighs_those_of_others() -> None:
    mixed = lora(ran("qlora", transient=2.0), ran("full", transient=2.0), ran(transient=0.9))
    assert mixed.transient < 1


@pytest.mark.parametrize("less", [{"old": True}, {"parameters": SIZE // 50}, {"parameters": SIZE * 5}])
def test_other_versions_and_sizes_count_for_a_part(less: dict[str, Any]) -> None:
    assert lora(ran(speed=0.5)).speed < lora(ran(speed=0.5, **less)).speed < 0.99
    beside = lora(ran(speed=0.5, **less), ran(speed=1.2))
    assert beside.speed > 1


def test_no_component_is_corrected_without_limits() -> None:
    wild = lora(*[ran(resident=9.0, transient=0.01, speed=400.0, fixed_bytes=50_000)] * 20)
    assert wild.resident == pytest.approx(1.25) and wild.transient == pytest.approx(1 / 2.5)
    assert wild.speed == pytest.approx(5) and wild.fixed_bytes == 750


def test_fixed_bytes_are_added() -> None:
    assert lora(ran(fixed_bytes=-300), ran(fixed_bytes=-300)).fixed_bytes == round(-300 * 2 / 2.5)


def test_runs_that_differ_say_so() -> None:
    assert lora(ran(speed=1.0), ran(speed=1.0)).agreement == 1
    assert lora(ran(speed=0.8), ran(speed=1.0), ran(speed=1.1)).agreement == pytest.approx(1.25)


def test_of_two_runs_the_middle_counts() -> None:
    assert lora(ran(fixed_bytes=100), ran(fixed_bytes=300)).fixed_bytes == round(200 * 2 / 2.5)


def test_a_correction_is_computed_once_and_goes_with_its_runs() -> None:
    found = Calibration((ran(speed=0.5),))
    assert found.of("lora", SIZE) is found.of("lora", SIZE)
    gone = weakref.ref(found)
    del found
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("times", [65, 2000])
def test_a_tiny_model_corrects_nothing(times: int) -> None:
    """Otherwise a trial on a 4 MB model lowers an 8B model's predicted peak of loading by a quarter."""
    toy = ran(parameters=SIZE // times, loading=0.4, transient=0.4, speed=0.3, fixed_bytes=-500, overhead=3.0)
    assert lora(*[toy] * 9) == Correction(confidence=0.0)


def test_the_more_sizes_differ_the_less_a_run_counts() -> None:
    by_size = [lora(*[ran(parameters=SIZE // times, speed=0.5)] * 3).speed for times in (1, 3, 5, 20, 60)]
    assert by_size[0] == by_size[1] < by_size[2] < by_size[3] < by_size[4] < 1


@pytest.mark.parametrize("name", ["resident", "transient", "slack", "loading"])
def test_a_much_smaller_model_raises_a_peak_and_never_lowers_it(name: str) -> None:
    lower, higher = (dict[str, Any]({name: ratio, "parameters": SIZE // 10}) for ratio in (0.5, 1.2))
    assert getattr(lora(*[ran(**lower)] * 9), name) == 1
    assert getattr(lora(*[ran(**higher)] * 9), name) > 1
    assert getattr(lora(*[ran(**lower)] * 9, parameters=SIZE // 10), name) < 1
    assert lora(ran(parameters=SIZE // 10, fixed_bytes=-500)).fixed_bytes == 0
