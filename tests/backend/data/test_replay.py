"""General rows mixed into the training rows: how many, which, and never those that forgetting is measured on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from backend.data.general import Part
from backend.data.prepare import Prepared
from backend.data.replay import divided, mixed
from backend.plan.counts import replay_rows
from backend.plan.plan import Plan


def row(number: int) -> Any:
    return np.array([number, number], np.int32), np.array([False, True])


def part(name: str, first: int, count: int) -> Part:
    return Part(name, tuple(row(first + at) for at in range(count)), tuple(at // 2 for at in range(count)))


DATA = Prepared([row(at) for at in range(20)], [], 0, 0, None, (), (), "print")


def test_the_share_is_of_all_rows_and_the_parts_take_turns() -> None:
    plan = Plan(replay_fraction=0.2)
    found = mixed(DATA, (part("a", 100, 2), part("b", 200, 6)), plan)
    assert len(found.train) == 25 and replay_rows(20, plan) == 5
    assert [int(found.train[at][0][0]) for at in (0, 19, 20, 21, 22, 23, 24)] == [0, 19, 100, 200, 101, 201, 202]
    assert found.fingerprint != DATA.fingerprint
    assert len(mixed(DATA, (), plan).train) == 20


def test_few_general_rows_come_again() -> None:
    found = mixed(DATA, (part("a", 100, 2),), replace(Plan(), replay_fraction=0.2))
    assert [int(found.train[20 + at][0][0]) for at in range(5)] == [100, 101, 100, 101, 100]


def test_no_example_is_learned_and_measured() -> None:
    learned, measured = divided((part("a", 100, 7),))
    assert set(learned[0].examples) == {0, 2} and set(measured[0].examples) == {1, 3}
    assert len(learned[0].rows) + len(measured[0].rows) == 7
    (whole,), nothing = divided((part("a", 100, 2),))
    assert len(whole.rows) == 2 and nothing == (), "one example is learned, and none is left"


def test_other_general_rows_are_other_data() -> None:
    plan = Plan(replay_fraction=0.2)
    one, other = (mixed(DATA, (part("a", first, 3),), plan).fingerprint for first in (100, 200))
    assert one != other and one.startswith("print replay 5 of 3 ")
