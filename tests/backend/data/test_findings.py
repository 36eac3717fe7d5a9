"""Findings of the rows: severity, kind, the rows concerned counted from 0, and a fix."""

from __future__ import annotations

import json
from pathlib import Path

from backend.data.finding import SHOWN_ROWS, Finding, by_severity, finding
from backend.data.inspect import assumed, inspect
from backend.data.report import DataReport


def report(tmp_path: Path, rows: list[dict[str, object]]) -> DataReport:
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
