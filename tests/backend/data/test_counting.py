"""Tokens estimated without a tokenizer: what bytes a token has depends on the text."""

from __future__ import annotations

import numpy as np
import pytest

from backend.data.constants import constants
from backend.data.conversation import Conversation, Message, Text
from backend.data.counting import bytes_per_token, estimated
from backend.data.sizes import size_of


def chat(question: str, answer: str) -> Conversation:
    return Conversation((Message("user", question), Message("assistant", answer, scored=True)))


def test_digits_and_symbols_are_tokens_of_their_own() -> None:
    assert bytes_per_token([Text("2024+17=2041")]) == 1.0
    assert bytes_per_token([Text("plain words and spaces only")]) == pytest.approx(constants().letter_bytes_per_token)
    sums = [chat("How much is 12 + 5 + 30?", "12 + 5 + 30 = 47. #### 47")]
    assert 1.5 < bytes_per_token(sums) < 2.5


def test_other_scripts_count_their_bytes_and_nothing_is_divided_by_nothing() -> None:
    assert bytes_per_token([Text("длинный текст без цифр")]) == pytest.approx(constants().letter_bytes_per_token)
    assert bytes_per_token([Text("")]) > 0


def test_gsm8k_is_near_its_count() -> None:
    # The first row of the demo: 100 tokens with SmolLM2's tokenizer, its marks and system prompt not counted.
    row = chat(
        "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips "
        "did Natalia sell altogether in April and May?",
        "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips altogether in "
        "April and May.\n#### 72",
    )
    counts = estimated(np.array([size_of(row)], dtype=np.int32), [row])
    content = int(counts.tokens[0]) - 2 * constants().tokens_per_turn
    assert content == pytest.approx(100, rel=0.1)
    assert 0 < counts.scored[0] < counts.tokens[0]
