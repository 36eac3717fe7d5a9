"""`plan` and `train`: what was found in the data comes first, and what stops it ends them with one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.data.finding import finding
from backend.planner import findings
from tests.backend.data.rows import jsonl, pairs
from tui.cli import run

JOB = ("--model", "8b", "--gpu", "4090")


def test_findings_are_the_tables_first_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pairs(60)
    rows[3]["answer"] = "Ask ops@bigcorp.com, the key is AKIAIOSFODNN7EXAMPLE."
    assert run(["plan", *JOB, "--data", jsonl(tmp_path / "rows.jsonl", rows)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("What was found in the data\n  warn  API keys or access tokens stand in 1 row")
    assert text.index("-> remove or replace them") < text.index("note  E-mail") < text.index("box         RTX 4090")
    assert text.count("API keys or access tokens") == 1


def test_json_has_the_same_findings_as_the_data_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "source": "x"} for row in pairs(60)]
    rows[5]["answer"] = ""
    path = jsonl(tmp_path / "rows.jsonl", rows)
    assert run(["plan", *JOB, "--data", path, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["data"]
    assert run(["data", path, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    for key in ("findings", "used_rows", "refused_rows", "unused_columns"):
        assert planned[key] == shown[key]
    assert (planned["used_rows"], planned["refused_rows"], planned["unused_columns"]) == (59, 1, ["source"])
    assert planned["problems"] == [x["text"] for x in planned["findings"] if x["severity"] != "notes"]


def test_what_stops_a_run_stops_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = finding("stops", "mixed", "Two things are mixed.", "give one of them")
    monkeypatch.setattr(findings, "findings", lambda data, plan: (stop, *data.findings))
    job = (*JOB, "--data", jsonl(tmp_path / "rows.jsonl", pairs(60)))
    assert run(["plan", *job]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("What was found in the data\n  STOP  Two things are mixed.") and "cost" not in said.out
    assert said.err == "fttui: Two things are mixed; give one of them\n"
    assert run(["plan", *job, "--json"]) == 2
    planned = json.loads(capsys.readouterr().out)
    assert planned["recommended"] is None and planned["data"]["findings"][0]["severity"] == "stops"


def test_train_refuses_what_stops_it(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{**row, "question": "Why? " * 400} for row in pairs(60)])
    job = ("--model", str(tiny_model), "--data", path, "--method", "lora", "--max-length", "64")
    assert run(["train", *job]) == 2
    said = capsys.readouterr().err
    assert "begins within max_length 64" in said and said.count("\n") == 1


def test_a_batch_beyond_the_data_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = jsonl(tmp_path / "rows.jsonl", pairs(60))
    assert run(["plan", *JOB, "--data", path, "--effective-batch", "64", "--json"]) == 0
    found = {x["kind"]: x for x in json.loads(capsys.readouterr().out)["data"]["findings"]}
    assert "64 rows is larger than the data: 57 rows are trained on" in found["batch-beyond-data"]["text"]
    assert found["batch-beyond-data"]["fix"].startswith("--effective-batch 14")
    assert run(["plan", *JOB, "--data", path, "--effective-batch", "16", "--json"]) == 0
    assert "batch-beyond-data" not in capsys.readouterr().out


def test_a_finding_that_stops_is_one_sentence_with_its_fix() -> None:
    found = (finding("stops", "kind", "It is so.", "do this"), finding("warns", "other", "Look."))
    assert findings.stops(found) == ("It is so; do this",)
