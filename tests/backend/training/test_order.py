from __future__ import annotations

import numpy as np
import pytest

from backend.plan.counts import eval_interval, save_interval, times_due, total_steps
from backend.plan.plan import Plan
from backend.training.order import Order
from backend.training.schedule import learning_rate


def test_every_row_once_an_epoch_in_another_order_each() -> None:
    order = Order(21, Plan(effective_batch=4, seed=3))
    epochs = [np.concatenate([order.rows_of(step) for step in range(first, first + 6)]) for first in (0, 6)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(21))
    assert list(epochs[0]) != list(epochs[1])
    assert len(order.rows_of(5)) == 1


def test_a_step_depends_on_nothing_before_it() -> None:
    plan = Plan(effective_batch=4, seed=3)
    walked = [list(Order(21, plan).rows_of(step)) for step in range(18)]
    order = Order(21, plan)
    jumped = {step: list(order.rows_of(step)) for step in (17, 2, 9, 0)}
    assert all(walked[step] == rows for step, rows in jumped.items())
    assert list(Order(21, Plan(effective_batch=4, seed=4)).rows_of(0)) != walked[0]


@pytest.mark.parametrize(
    ("rows", "epochs", "most", "steps"),
    [(16, 1, 0, 4), (17, 3, 0, 15), (17, 0.5, 0, 3), (17, 3, 7, 7), (1, 0.01, 0, 1)],
)
def test_steps_of_a_run(rows: int, epochs: float, most: int, steps: int) -> None:
    assert total_steps(rows, Plan(effective_batch=4, epochs=epochs, max_steps=most)) == steps


def test_about_ten_evaluations_and_checkpoints_that_have_one() -> None:
    plan = Plan()
    assert eval_interval(plan, 100) == 10
    assert save_interval(plan, 100) == 20
    assert eval_interval(plan, 3) == 1
    assert save_interval(Plan(save_every=7), 100) == 7


@pytest.mark.parametrize(("after", "due"), [(0, 4), (10, 3), (29, 2), (30, 1), (35, 0)])
def test_what_is_still_due(after: int, due: int) -> None:
    assert times_due(10, after, 35) == due


def test_the_rate_warms_up_and_falls_to_a_tenth() -> None:
    plan = Plan(learning_rate=1.0, warmup_fraction=0.1, schedule="cosine")
    rates = [learning_rate(plan, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[-1] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_other_schedules() -> None:
    linear = Plan(learning_rate=1.0, warmup_fraction=0.0, schedule="linear")
    assert learning_rate(linear, 0, 11) == 1.0
    assert learning_rate(linear, 5, 11) == pytest.approx(0.55)
    constant = Plan(learning_rate=1.0, warmup_fraction=0.0, schedule="constant")
    assert {learning_rate(constant, step, 11) for step in range(11)} == {1.0}
