"""What the adviser reports for made-up losses, and what it doesn't report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from backend.plan.plan import Plan
from backend.run.events import FindingReported
from backend.training.adviser import Adviser

PLAN = Plan(learning_rate=1e-4, warmup_fraction=0.0)


def said(training: Sequence[float], held_out: dict[int, float], total: int = 100) -> list[FindingReported]:
    adviser, found = Adviser(PLAN, total, "a-run"), list[FindingReported]()
    if 0 in held_out:
        found += adviser.evaluated(0, held_out[0])
    for step, loss in enumerate(training, 1):
        found += adviser.stepped(step, loss)
        if step in held_out:
            found += adviser.evaluated(step, held_out[step])
    return found


def falling(steps: int) -> list[float]:
    return [1 + math.exp(-step / 20) for step in range(steps)]


def test_a_healthy_run_hears_nothing() -> None:
    held_out = {step: 1.1 + math.exp(-step / 20) for step in range(0, 81, 20)}
    assert said(falling(80), held_out) == []


def test_a_run_that_diverges() -> None:
    (found,) = said([*falling(40), *[4.0] * 40], {0: 2.0})
    assert found.severity == "warns" and found.about == "run"
    assert found.text.startswith("The training loss has risen from 1.") and "the run diverges" in found.text
    assert found.fix == "fttui change a-run --set learning_rate=3.3e-05"


def test_a_run_that_overfits() -> None:
    (found,) = said(falling(80), {0: 2.0, 20: 1.5, 40: 1.4, 60: 1.45, 80: 1.6})
    assert "has risen from 1.400 at step 40 to 1.600, while the training loss fell from" in found.text
    assert found.fix == "fttui stop a-run: the weights of that step are what is saved"


def test_a_rate_that_is_far_too_low() -> None:
    (found,) = said([2.0] * 40, {0: 2.0, 20: 1.999, 40: 1.998})
    assert "After 40 of 100 steps the held-out loss has fallen by 0.1 % only" in found.text
    assert found.fix.endswith("learning_rate=0.0003")


def test_a_plateau() -> None:
    held_out = {0: 2.0, 10: 1.2, 20: 1.1, 30: 1.1, 40: 1.0995, 50: 1.0994}
    (found,) = said([2.0, *[1.1] * 49], held_out)
    assert "since step 20: more steps bring little" in found.text


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_losses_that_are_no_numbers_are_passed_over(odd: float) -> None:
    assert said(falling(60), {0: 2.0, 20: odd, 40: odd, 60: odd}) == []


def test_it_speaks_of_the_settings_as_they_are_now() -> None:
    adviser = Adviser(PLAN, 100, "a-run")
    adviser.follow(replace(PLAN, learning_rate=3e-4), 50)
    list(adviser.evaluated(0, 2.0))
    for step in range(1, 41):
        list(adviser.stepped(step, 2.0))
    (found,) = adviser.evaluated(40, 1.999)
    assert "of 50 steps" in found.text and "the learning rate of 0.0003" in found.text and "=0.0009" in str(found.fix)
