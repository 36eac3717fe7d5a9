"""Memory is predicted well enough for the runs that others have published."""

from __future__ import annotations

import pytest

from backend.planner import memory
from backend.planner.memory import OWN
from tests.bench.memory_published import (
    GROUPS,
    complete,
    left_out,
    median_error,
    missing,
    phases,
    results,
    sharded,
    worst,
)
from tests.bench.published import device, runs, shape, stacks
from tests.bench.throughput import is_single_dense, plan_of

FOUND = results()


@pytest.mark.parametrize("group", GROUPS)
def test_the_median_error_is_under_seven_percent(group: str) -> None:
    found = [x for x in FOUND if GROUPS[group](x)]
    assert len(found) >= 15
    assert median_error(found) < 0.07


def test_none_is_predicted_more_than_eight_percent_too_low() -> None:
    low = min(FOUND, key=lambda x: x.error)
    assert low.error > -0.08, (low.run, low.kind)


def test_what_torch_hands_out_is_counted_to_four_percent() -> None:
    assert max(abs(x.error) for x in FOUND if x.kind == "allocated") < 0.04


def test_the_worst_are_explained() -> None:
    assert all(x.explanation for x in worst(FOUND))


def test_sharded_weights_gradients_and_states_are_counted_per_device() -> None:
    assert {x.kind for x in sharded()} == {"allocated", "card"}
    assert max(abs(x.error) for x in sharded() if x.kind == "allocated") < 0.02
    assert max(abs(x.error) for x in sharded() if x.kind == "card") < 0.12


def test_runs_are_left_out_for_what_is_not_told_only() -> None:
    for run in runs():
        if is_single_dense(run) and run.peak_bytes is not None:
            assert complete(run) == (not missing(run))
    left = list(left_out())
    assert any("litgpt-tables" in line and "chunked_loss" in line for line in left)


def test_a_stack_that_differs_in_nothing_is_the_trainer() -> None:
    run = next(run for run in runs() if complete(run))
    case = (shape(run.model), stacks.plan_as_run(run, plan_of(run)), device(run), run.length)
    assert memory.predict(*case) == memory.predict(*case, stack=OWN)
    assert memory.predict(*case) != memory.predict(*case, stack=stacks.stack_of(run))


def test_each_phase_is_counted_and_not_the_largest_alone() -> None:
    found = list(phases())
    assert len(found) >= 9
    for run, sizes in found:
        for name, (measured, predicted) in sizes.items():
            limit = 0.055 if name == "load" else 0.04  # a small model's load is a few MiB of anything
            assert abs(predicted / measured - 1) < limit, (run.model, run.attention, name)
