"""The last answers are restored; a broken file, or a broken field in it, does no harm."""

from __future__ import annotations

import pytest

from backend import answers_file
from backend.answers import Answers


def test_what_is_saved_is_loaded() -> None:
    answers = Answers(
        model="8b",
        data="x.jsonl",
        budget_usd=40.0,
        shift="deep",
        mapping=("prompt=q",),
        set=("rank=8",),
        price_usd_per_hour=0.0,
    )
    answers_file.save(answers)
    assert answers_file.load() == answers


def test_no_file_gives_the_defaults() -> None:
    assert answers_file.load() == Answers()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"model = ", b"[[[", b""])
def test_a_broken_file_gives_the_defaults(content: bytes) -> None:
    answers_file.path().write_bytes(content)
    assert answers_file.load() == Answers()


def test_a_broken_field_is_left_at_its_default() -> None:
    answers_file.path().write_text(
        'model = 3\ndata = "x"\nbudget_usd = "much"\nvariants = 2\nshift = "sideways"\nold = 1\n'
    )
    assert answers_file.load() == Answers(data="x", variants=2)


def test_prices_are_kept_beside_the_answers_and_a_damaged_one_does_no_harm() -> None:
    answers_file.save(Answers(model="8b"), {"L40S": 0.8, "H200": 3.0})
    assert answers_file.prices() == {"L40S": 0.8, "H200": 3.0} and answers_file.load() == Answers(model="8b")
    for text in ("prices = 3", '[prices]\nL40S = "much"', "[prices]\nL40S = -1", "[[["):
        answers_file.path().write_text(text)
        assert answers_file.prices() == {} and answers_file.load() == Answers()


def test_what_belongs_to_one_run_is_not_the_next_default() -> None:
    answers_file.save(Answers(model="m", adapter="a", add_tokens="new.txt"))
    assert answers_file.load() == Answers(model="m")
