"""Numbers as the user types them."""

from __future__ import annotations

import pytest

from backend.answers import Answers
from backend.errors import UserError
from tui import command_line
from tui.journey import Journey
from tui.screens import numbers
from tui.sources import Sources


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("$0.45", 0.45), ("1,500", 1500.0), ("1,500,000.5", 1_500_000.5), ("2 000", 2000.0), ("8h", 8.0)],
)
def test_number(text: str, value: float | None) -> None:
    assert numbers.number(text, "price", "price") == value


@pytest.mark.parametrize("text", ["0,45", "1,5", "1.500,00", "12,50", "0,450", "1,0000"])
def test_a_decimal_comma_is_refused_and_not_dropped(text: str) -> None:
    with pytest.raises(UserError, match=r"of at least 0, with a decimal point$"):
        numbers.number(text, "price", "price")


@pytest.mark.parametrize(("text", "value"), [("5,000", 5000), ("12", 12), ("1 000", 1000)])
def test_whole(text: str, value: int) -> None:
    assert numbers.whole(text, "rows", "rows", least=1) == value


@pytest.mark.parametrize("text", ["1,5", "0,5", "1.5", "1e3", ""])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="it takes a whole number of at least 1"):
        numbers.whole(text, "rows", "rows", least=1)


@pytest.mark.parametrize("value", [0.1234567, 1234.567, 12_345_678.5, 1 / 3])
def test_what_is_shown_in_an_entry_and_in_the_command_is_the_value_itself(value: float) -> None:
    assert numbers.number(numbers.text(value), "budget", "budget_usd") == value
    assert command_line.options(Answers(budget_usd=value)) == ["--budget", numbers.text(value)]


def test_short_values_stay_short_and_a_large_seed_has_its_digits() -> None:
    assert [numbers.text(x) for x in (None, 0.45, 2.0, 1e-05)] == ["", "0.45", "2", "1e-05"]
    assert Journey(Sources(), Answers(seed=1_234_567, epochs=2.5)).settings() == {"seed": "1234567", "epochs": "2.5"}
