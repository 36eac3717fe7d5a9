"""Findings of the rows: severity, kind, the rows concerned counted from 0, and a fix."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from backend.data.finding import SHOWN_ROWS, Finding, by_severity, finding
from backend.data.inspect import assumed, inspect
from backend.data.preflight.cuts import cut_findings
from backend.data.report import DataReport
from backend.model.find import find
from tests.backend.data.rows import jsonl
from tests.tiny import make_model


def report(tmp_path: Path, rows: Sequence[Mapping[str, object]]) -> DataReport:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return inspect(str(path))


def rows(count: int) -> list[dict[str, object]]:
    return [{"prompt": f"What is {i} and {i}?", "completion": f"It is {2 * i}."} for i in range(count)]


def found(of: DataReport, kind: str) -> Finding:
    (one,) = (x for x in of.findings if x.kind == kind)
    return one


def test_empty_rows_are_counted_from_0_and_are_not_used(tmp_path: Path) -> None:
    data = rows(60)
    data[3]["completion"] = ""
    data[59]["prompt"] = None
    seen = report(tmp_path, data)
    assert found(seen, "empty-rows").rows == (3,)
    assert found(seen, "rows-without-question").rows == (59,)
    assert (seen.all_rows, seen.used_rows, seen.refused_rows, seen.rows) == (60, 58, 2, 58)


def test_a_few_duplicates_are_a_note_and_many_a_warning(tmp_path: Path) -> None:
    few = report(tmp_path, [*rows(60), *rows(2)])
    assert (found(few, "duplicates").severity, found(few, "duplicates").rows) == ("notes", (60, 61))
    assert few.problems == ()
    many = report(tmp_path, [*rows(60), *rows(60)])
    assert (found(many, "duplicates").severity, found(many, "duplicates").row_count) == ("warns", 60)
    assert "60 rows of 120 repeat another row" in many.problems[0]


def test_many_rows_are_listed_up_to_a_limit_and_counted_whole() -> None:
    one = finding("warns", "kind", "Text.", rows=range(5000))
    assert (len(one.rows), one.row_count) == (SHOWN_ROWS, 5000)


def test_the_most_severe_come_first_and_problems_are_all_but_notes() -> None:
    made = [finding(severity, severity, f"{severity}.") for severity in ("notes", "warns", "stops")]
    assert [x.severity for x in by_severity(made)] == ["stops", "warns", "notes"]
    seen = assumed(10, 100)
    assert (seen.problems, len(seen.notes), seen.all_rows, seen.used_rows) == ((), 1, 10, 10)


def test_pieces_of_one_document_are_no_duplicates(tmp_path: Path) -> None:
    seen = report(tmp_path, [{"text": "word " * 8000}, *({"text": f"story {n}"} for n in range(60))])
    assert not [x for x in seen.findings if x.kind == "duplicates"]


def test_answers_that_repeat_the_question_are_a_warning(tmp_path: Path) -> None:
    data = rows(60)
    for at in range(30, 60):
        data[at]["completion"] = data[at]["prompt"]
    one = found(report(tmp_path, data), "answers-repeat-questions")
    assert one.severity == "warns" and one.rows == tuple(range(30, 60))


def test_conversations_written_as_one_text_are_said(tmp_path: Path) -> None:
    texts = [{"text": f"### Human: What is {n}?\n### Assistant: A number."} for n in range(60)]
    assert found(report(tmp_path, texts), "conversations-as-documents").row_count == 60


@pytest.mark.parametrize("written", ["- role: user\n  content: q{}", "[Message(role='user', content='q{}')]"])
def test_turns_in_a_notation_that_is_not_read_are_said(tmp_path: Path, written: str) -> None:
    said = found(report(tmp_path, [{"messages": written.format(n)} for n in range(60)]), "turns-as-documents")
    assert (said.severity, said.row_count) == ("warns", 60)


def test_rows_that_are_joined_to_one_conversation_are_all_used(tmp_path: Path) -> None:
    roles = ("user", "assistant")
    data = [{"conversation_id": n, "role": role, "content": f"{role} {n}"} for n in range(60) for role in roles]
    data[7]["content"] = ""  # the fourth conversation has no answer
    seen = report(tmp_path, data)
    assert (seen.rows, seen.all_rows, seen.used_rows, seen.refused_rows) == (59, 120, 118, 2)


def test_rows_over_the_context_and_what_is_cut_are_named(tmp_path: Path) -> None:
    model = find(str(make_model(tmp_path / "model")))
    data = rows(60)
    data[5]["completion"] = "long " * 600
    data[9]["prompt"] = "long " * 600
    seen = inspect(jsonl(tmp_path / "rows.jsonl", data), model=model)
    over = found(seen, "over-context")
    assert over.rows == (5, 9) and "% of all tokens are lost" in over.text
    cuts = {x.kind: x for x in cut_findings(seen, 512)}
    assert cuts["answers-cut"].rows == (9,) and cuts["rows-cut"].rows == (5, 9)


def test_a_cut_that_leaves_under_a_tenth_of_the_answers_stops(tmp_path: Path) -> None:
    model = find(str(make_model(tmp_path / "model")))
    data = [{**row, "prompt": "long " * 600} for row in rows(60)]
    data[:4] = rows(4)
    cut = {x.kind: x for x in cut_findings(inspect(jsonl(tmp_path / "rows.jsonl", data), model=model), 300)}
    assert (cut["answers-cut"].severity, cut["answers-cut"].row_count) == ("stops", 56)
