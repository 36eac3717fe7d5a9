from __future__ import annotations

import random
from typing import Any

import pytest

from backend.data.build import BUILDERS
from backend.data.conversation import Conversation, answer_of, digest, message_bytes
from backend.data.layout.names import ALIASES, ROLES
from backend.data.turns.turns import FLAGS, MASKS
from backend.data.turns.turns import ROLES as SPEAKERS
from backend.errors import UserError
from tests.backend.data.examples import BOT, GPT, HUMAN, USER, read

COLUMNS = sorted({name for names in ALIASES.values() for name in names} | {"rejected", "image", "id", "role", "rating"})
GOOD: list[dict[str, Any]] = [
    {"question": "q", "answer": "a"},
    {"messages": [USER, BOT]},
    {"conversations": [HUMAN, GPT], "tools": [], "system": "s"},
    {"instruction": "q", "input": "", "output": "a", "history": [["q", "a"]]},
    {"text": "a story"},
    {"prompt": "q", "chosen": "a", "rejected": "b", "rating": 3},
]
SCALARS = [
    None,
    "",
    " ",
    "words of text",
    "0",
    "true",
    True,
    0,
    1,
    0.5,
    float("nan"),
    b"x",
    "[1, 2]",
    "[{'role': 3}]",
    "{",
]
KINDS = ["text", "thinking", "tool_use", "tool_result", "functionCall", "hologram", None, 3]


class Maker:
    """Values of any shape, the same each time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self) -> Any:
        kinds = [self.scalar, self.scalar, self.turns, self.turn, self.call, lambda: repr(self.turns()), self.parts]
        return self.random.choice(kinds)()

    def scalar(self) -> Any:
        return self.random.choice(SCALARS)

    def turns(self) -> Any:
        return [self.turn() for _ in range(self.random.randint(0, 4))]

    def turn(self) -> Any:
        turn = {
            self.random.choice(["role", "from", "author", "human"]): self.random.choice(
                [*SPEAKERS, "narrator", None, ["x"]]
            ),
            self.random.choice(["content", "value", "text", "parts"]): self.random.choice([self.scalar, self.parts])(),
            self.random.choice(["tool_calls", "function_call", "name", "thinking"]): self.call(),
            self.random.choice([*FLAGS, *MASKS]): self.scalar(),
        }
        return dict(self.random.sample(list(turn.items()), self.random.randint(1, len(turn))))

    def parts(self) -> Any:
        keys = ["text", "value", "thinking", "functionCall", "id", "name", "input", "content"]
        made = ({"type": self.random.choice(KINDS), self.random.choice(keys): self.scalar()} for _ in range(2))
        return [x if self.random.random() < 0.8 else self.scalar() for x in made]

    def call(self) -> Any:
        calls = [
            None,
            [],
            3,
            "x",
            [None],
            {"name": "f"},
            [{"function": {"name": "f", "arguments": "{"}}],
            [{"id": "x"}],
        ]
        return self.random.choice(calls)

    def rows(self) -> list[dict[str, Any]]:
        good = self.random.choice(GOOD)
        rows = [dict(good) for _ in range(60)]
        for _ in range(2):
            self.random.choice(rows)[self.random.choice(list(good))] = self.value()
        names = self.random.sample(COLUMNS, 3)
        return rows if self.random.random() < 0.7 else [{name: self.value() for name in names} for _ in range(3)]

    def mapping(self, columns: list[str]) -> tuple[str, ...]:
        said = (f"{self.random.choice(ROLES)}={self.random.choice(columns)}",)
        return said if self.random.random() < 0.3 else ()


@pytest.mark.parametrize("seed", range(10))
def test_any_rows_become_examples_or_one_sentence(seed: int) -> None:
    maker = Maker(seed)
    used = 0
    for _ in range(150):
        rows = maker.rows()
        try:
            found = read(*rows, mapping=maker.mapping(list(rows[0])))
        except UserError as error:
            assert str(error)
            continue
        used += 1
        assert found.layout.kind in BUILDERS
        assert all(finding.text.endswith(".") for finding in found.findings)
        for example in found.examples:
            assert len(digest(example)) == 16
            assert answer_of(example)
            if isinstance(example, Conversation):
                assert example.messages[-1].scored
                assert all(message_bytes(x) >= len(x.content) for x in example.messages)
                assert all(x.role == "assistant" for x in example.messages if x.scored)
    assert used > 30
