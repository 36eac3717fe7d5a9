"""Which answers are right, and how sure a share of them is."""

from __future__ import annotations

import pytest

from backend.data.scoring import check, extracted, is_right, wilson
from backend.errors import UserError


@pytest.mark.parametrize(
    ("task", "answer", "wanted", "right"),
    [
        ("number", "She has 10 - 3 = 7 apples. The answer is 7.", "10 - 3 = <<10-3=7>>7\n#### 7", True),
        ("number", "It costs $1,234.50", "#### 1234.5", True),
        ("number", "The answer is 8", "#### 7", False),
        ("number", "I do not know.", "#### 7", False),
        ("number", "It is -3", "#### 3", False),
        ("number", "12345678901234567", "12345678901234568", False),
        ("exact", " Paris\n", "Paris", True),
        ("exact", "Paris.", "Paris", False),
        ("exact", "", "", False),
        (r"\b([A-D])\b", "First A, no: the answer is C", "C", True),
        (r"\b([A-D])\b", "none of them", "C", False),
        (r"\d+ km", "It is 12 km away", "about 12 km", True),
        (r"\d*", "It is 13", "about 12", False),
        (r"####\s*(.*)", "#### ", "####", False),
    ],
)
def test_an_answer_is_right_or_wrong(task: str, answer: str, wanted: str, right: bool) -> None:
    assert is_right(task, answer, wanted) is right


def test_what_is_compared() -> None:
    assert extracted("number", "from 2 to .5") == 0.5
    assert extracted("number", "1.") == 1.0
    assert extracted(r"(?:is (\w+))?", "x") is None
    assert extracted(r"\d*", "It is 12 km") == "12", "such a pattern's last match is the empty one at the end"


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (0, 0, 0, 1)],
)
def test_wilsons_interval(right: int, rows: int, low: float, high: float) -> None:
    assert wilson(right, rows) == pytest.approx((low, high), abs=1e-4)


def test_an_invalid_pattern_is_refused() -> None:
    with pytest.raises(UserError, match="'\\(' is no regular expression") as refused:
        check("(")
    assert refused.value.field == "task"
