"""A validation split beside the training split: which of its rows are also trained on."""

from __future__ import annotations

from backend.data.preflight.leaks import leaks
from tests.backend.data.preflight.test_checks import chat, clean, prose


def test_copies_near_copies_and_the_same_prompt_leak() -> None:
    train, validation = clean(100), clean(120)[100:]
    assert list(leaks(train, validation)) == []
    words = prose(10_007).split()
    near = " ".join([*words[:20], "another", *words[21:]])
    leaked = [
        chat(21, f"Tell me about {prose(3, 10)}.", f"{prose(10_003)}."),
        chat(22, f"Tell me of {prose(7, 10)}.", f"{near}."),
        chat(23, f"tell me about {prose(9, 10)}.", "Something else."),
    ]
    (found,) = leaks(train, [*validation, *leaked])
    assert (found.kind, found.severity, found.row_count) == ("validation-leak", "warns", 3)
    assert found.text.startswith("3 rows of 23 rows of the validation split are trained on too")
