"""Pairs and marked answers for training: pairs with different prompts, identical answers, and rows without a mark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.data.inspect import inspect
from backend.data.preferences import Kind, prepare_preferences
from backend.data.prepare import Prepared
from backend.errors import UserError
from tests.backend.data.examples import BOT, USER, found, kinds, read
from tests.backend.data.rows import jsonl


def prepared(kind: Kind, folder: Path, model: Path, rows: list[dict[str, Any]]) -> Prepared:
    return prepare_preferences(kind, jsonl(folder / "rows.jsonl", rows), (), model, 256, 0.0, 0)


def talk(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def transcript(question: str, answer: str) -> str:
    return f"\n\nHuman: {question}\n\nAssistant: {answer}"


@pytest.mark.parametrize("said", [talk, transcript])
def test_answers_to_different_prompts_are_no_pair(said: Any, tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"chosen": said(f"{i}?", "Yes."), "rejected": said("0?" if i < 2 else f"{i}?", "No.")} for i in range(4)]
    made = prepared("dpo", tmp_path, tiny_model, rows)
    planned = inspect(str(tmp_path / "rows.jsonl"), objective="dpo")
    assert (len(made.train), made.dropped) == (planned.rows, planned.refused_rows) == (3, 1)
    for findings in (made.findings, planned.findings):
        (left,) = [x for x in findings if x.kind == "prompts-differ"]
        assert (left.severity, left.rows) == ("warns", (1,))


def test_why_no_row_is_a_pair_is_said(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"prompt": "q", "chosen": "a", "rejected": ["b", "c"]}] * 3)
    why = r"has two different answers \(row 1: 'rejected' holds a list of 2 texts"
    with pytest.raises(UserError, match=why):
        inspect(path, objective="dpo")


def test_no_pair_at_all_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"chosen": talk(f"{i}?", "Yes."), "rejected": talk(f"Not {i}?", "No.")} for i in range(4)]
    with pytest.raises(UserError, match="has two answers to the same prompt"):
        prepared("dpo", tmp_path, tiny_model, rows)
    with pytest.raises(UserError, match="has two answers to the same prompt"):
        inspect(str(tmp_path / "rows.jsonl"), objective="dpo")
    assert inspect(str(tmp_path / "rows.jsonl")).rows == 4


def test_equal_or_missing_answers_are_named(tmp_path: Path, tiny_model: Path) -> None:
    answers = ["No.", "Yes.", None, "Never."]
    rows = [{"prompt": f"{i}?", "chosen": "Yes.", "rejected": answer} for i, answer in enumerate(answers)]
    made = prepared("dpo", tmp_path, tiny_model, rows)
    (left,) = [x for x in made.findings if x.kind == "preference-rows"]
    assert left.rows == (1, 2) and len(made.train) == 2
    planned = inspect(str(tmp_path / "rows.jsonl"), objective="dpo")
    assert (planned.rows, planned.refused_rows) == (2, 2)


def test_answers_that_are_equal_within_the_length_are_named(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"prompt": f"{i}?", "chosen": "Yes, " * 300 + "end", "rejected": "Yes, " * 300} for i in range(3)]
    rows.append({"prompt": "3?", "chosen": "Yes.", "rejected": "No."})
    made = prepared("dpo", tmp_path, tiny_model, rows)
    (left,) = [x for x in made.findings if x.kind == "pairs-cut"]
    assert left.rows == (0, 1, 2) and len(made.train) == 1


def test_rows_without_a_mark_are_said_to_be_left_out(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"prompt": f"{i}?", "completion": "Yes.", "label": [True, False, None][i % 3]} for i in range(6)]
    made = prepared("kto", tmp_path, tiny_model, rows)
    assert len(made.train) == 4 and made.dropped == 2
    (left,) = [x for x in made.findings if x.kind == "unmarked-rows"]
    assert left.rows == (2, 5) and "row 3 has label None" in left.text
    assert not any("trained on" in x.text for x in made.findings)
    planned = inspect(str(tmp_path / "rows.jsonl"), objective="kto")
    assert (planned.rows, planned.refused_rows) == (4, 2)


@pytest.mark.parametrize(
    "beside",
    [
        {"score_chosen": 9.0, "score_rejected": 2.0},
        {"chosen_model": "one", "rejected_model": "other"},
        {"chosen-rating": 5, "rejected-rating": 1},
        {"avg_reward_chosen": 0.5, "avg_reward_rejected": 0.1},
    ],
)
def test_what_is_told_about_answers_is_no_answer(beside: dict[str, Any]) -> None:
    examples = read({"prompt": "q", **beside, "chosen": "a", "rejected": "no"})
    assert examples.layout.mapping["completion"] == "chosen" and examples.layout.preference == ("chosen", "rejected")
    assert kinds(examples) == ["preference-data"]


def test_a_column_that_repeats_the_better_conversation_is_not_named() -> None:
    row = {"prompt": "q", "chosen": [USER, BOT], "rejected": [USER, {**BOT, "content": "no"}], "messages": [USER, BOT]}
    mapping = ("prompt=prompt", "completion=chosen")
    assert kinds(read(row, mapping=mapping)) == ["preference-data"]
    other = read({**row, "messages": [USER, {**BOT, "content": "A third one."}]}, mapping=mapping)
    assert "'messages'" in found(other, "unused-columns").text


def test_pairs_beside_whole_conversations_can_be_learned_from(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{i}?", "messages": talk(f"{i}?", "Yes."), "chosen": talk(f"{i}?", "Yes."), "rejected": no}
        for i, no in ((i, talk(f"{i}?", "No.")) for i in range(3))
    ]
    said = found(read(*rows), "preference-data")
    assert said.fix.startswith("--mapping messages=chosen to") and "--set objective=dpo" in said.fix
    assert inspect(jsonl(tmp_path / "rows.jsonl", rows), objective="dpo").rows == 3


def test_worse_answers_that_are_cut_are_said(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"prompt": f"{i}?", "chosen": "Yes.", "rejected": "No. " * (400 if i < 2 else 1)} for i in range(4)]
    made = prepared("dpo", tmp_path, tiny_model, rows)
    (cut,) = [x for x in made.findings if x.kind == "worse-answers-cut"]
    assert (cut.severity, cut.rows, cut.fix) == ("warns", (0, 1), "--max-length above 256")
    assert cut.text.startswith("With the worse answer, 2 rows cut at 256 tokens") and len(made.train) == 4


def test_the_questions_asked_are_different_ones_with_answers_that_are_wanted(tmp_path: Path, tiny_model: Path) -> None:
    rows = [
        {"prompt": f"{i // 2}?", "completion": "Bad." if i % 2 == 0 else "Good.", "label": i % 2 == 1}
        for i in range(12)
    ]
    asked = prepared("kto", tmp_path, tiny_model, rows).probes
    assert len(asked) == 3 and len({probe.prompt for probe in asked}) == 3
    assert {probe.answer for probe in asked} == {"Good."}
