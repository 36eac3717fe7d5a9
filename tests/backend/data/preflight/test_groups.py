"""Groups of rows that stay on one side of the split, so that nobody trains on held-out rows by accident."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

from backend.data.conversation import Conversation, Example
from backend.data.preflight.groups import groups, shared
from backend.data.preflight.near import near_pairs
from backend.data.prepare import prepare
from backend.data.split import held_out
from tests.backend.data.preflight.test_checks import chat, clean, prose
from tests.backend.data.rows import jsonl


def test_copies_near_copies_and_the_same_prompt_are_one_group() -> None:
    rows = clean(200)
    rows[50] = chat(51, "Tell me about rivers", prose(1))
    rows[60] = chat(61, "tell me  about Rivers", prose(2))
    rows[70] = chat(71, f"Tell me about {prose(4, 10)}.", f"{prose(10_004)} And more.")
    rows[80] = rows[5]._replace(row=81)
    keys = groups(rows)
    assert keys[50] == keys[60] and keys[4] == keys[70] and keys[5] == keys[80]
    assert len(set(keys)) == 200 - 3


def test_a_chat_and_its_continuation_are_one_group() -> None:
    rows = clean(60)
    short = rows[0]
    assert isinstance(short, Conversation)
    rows[30] = Conversation((*short.messages, *rows[1].messages), (), 31)  # type: ignore[union-attr]
    assert groups(rows)[0] == groups(rows)[30]


def test_groups_hang_on_content_alone() -> None:
    rows = [*clean(100), *(x._replace(row=x.row + 100) for x in clean(10))]
    keys = dict(zip((x.row for x in rows), groups(rows), strict=True))
    random.Random(0).shuffle(rows)
    assert dict(zip((x.row for x in rows), groups(rows), strict=True)) == keys


def test_a_prompt_of_very_many_rows_is_no_group_but_their_copies_are() -> None:
    rows: list[Example] = [chat(at + 1, "Write something.", prose(at)) for at in range(100)]
    rows += [x._replace(row=x.row + 100) for x in rows]
    keys = groups(rows)
    assert len(set(keys)) == 100 and keys[:100] == keys[100:]


def test_the_trainers_split_goes_by_groups(tmp_path: Path, tiny_model: Path) -> None:
    rows = [
        {"prompt": f"Tell me about {prose(at // 2, 10)}.", "completion": f"It has {prose(at + 500, 8)}."}
        for at in range(120)
    ]
    made = prepare(jsonl(tmp_path / "rows.jsonl", rows), (), tiny_model, 512, 0.1, 0)
    held = sorted(made.held_out.index.tolist())
    assert len(held) == 12 and held == sorted(x + y for x in {at // 2 * 2 for at in held} for y in (0, 1))
    assert [found.kind for found in made.findings] == ["repeated-prompts"]


def test_no_held_out_row_has_a_relative_in_training() -> None:
    rows: list[Example] = []
    for at in range(100):
        rows += [
            chat(3 * at + 1, f"Tell me about {prose(at, 10)}.", f"{prose(at + 10_000)}."),
            chat(3 * at + 2, f"Tell me about {prose(at, 10)}.", f"{prose(at + 20_000)}."),
            chat(3 * at + 3, f"Please say: {prose(at, 10)}?", f"{prose(at + 10_000)}!"),
        ]
    keys = groups(rows)
    out = held_out(keys, 0.1, 0)
    assert 20 <= len(out) <= 30 and shared(keys, out) == []
    assert shared(keys, out[1:]) == out[1:3]


def test_many_rows_take_the_memory_of_their_sketches() -> None:
    words = [f"word{n}" for n in range(2000)]
    drawn = random.Random(0)
    texts = [" ".join(drawn.choices(words, k=100)) for _ in range(5000)]
    texts[4000] = texts[10] + " again"
    tracemalloc.start()
    found = list(near_pairs(texts))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(4000, 10)] and peak_bytes < 40e6
