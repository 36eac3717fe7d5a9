"""The time estimate agrees with the published runs, also for models that its constants were not fitted on."""

from __future__ import annotations

import copy

import pytest

from backend import constants
from tests.bench import published, throughput, throughput_fit


@pytest.mark.parametrize("group", list(throughput.GROUPS))
def test_the_point_is_near_and_the_interval_holds(group: str) -> None:
    found = throughput.results(group)
    assert len(found) >= 15
    assert throughput.median_error(found) <= 0.25
    assert throughput.share_inside(found) >= 0.80


def test_the_interval_is_not_too_wide() -> None:
    seen = [x.predicted for x in throughput.results("one GPU, dense")]
    assert sorted(x.high / x.low for x in seen)[len(seen) // 2] < 2


def test_half_of_the_models_were_not_fitted_on() -> None:
    models = {case.run.model for case in throughput.cases()}
    assert len(throughput.fitted_models()) == pytest.approx(len(models) / 2, abs=0.5)


def test_fitting_again_leaves_the_constants_where_they_are() -> None:
    before = copy.deepcopy(constants.throughput())
    lines = list(throughput_fit.lines())
    assert constants.throughput() == before
    for line in lines[:-1]:
        start, fitted = (float(x) for x in line[30:].split("->"))
        assert fitted == pytest.approx(start, rel=0.1)


def test_every_run_with_a_speed_is_in_the_table_or_said_to_be_left_out() -> None:
    rows = sum(x.tokens_per_second is not None for x in published.runs())
    assert len(throughput.results()) + len(list(throughput.left_out())) == rows
    assert len(list(throughput.every(throughput.results()))) == len(throughput.results()) + 2
