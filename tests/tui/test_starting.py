"""What is said before a start, on the screen and by the command alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.answers import Answers
from backend.planner import situation
from backend.run.folder import RunFolder
from tui import headless, starting
from tui.cli import run


@pytest.fixture
def three_rows(tmp_path: Path) -> Path:
    path = tmp_path / "three.jsonl"
    path.write_text("".join(f'{{"prompt": "what is {i}?", "completion": "the number {i}"}}\n' for i in range(3)))
    return path


def test_train_on_three_rows_says_what_the_wizard_says(
    tiny_model: Path, three_rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[RunFolder] = []

    def instead(folder: RunFolder, **_: Any) -> int:
        started.append(folder)
        return 0

    monkeypatch.setattr(headless, "run", instead)
    job = ("--model", str(tiny_model), "--data", str(three_rows))
    assert run(["train", *job, "--method", "lora"]) == 0 and started
    said = " ".join(capsys.readouterr().err.split())
    comparison = situation.predict(Answers(model=str(tiny_model), data=str(three_rows)))
    batch = next(x for x in comparison.findings if x.kind == "batch-beyond-data")
    assert batch.text in said and "-> --effective-batch" in said
    assert "Under 50 rows a good prompt or retrieval usually does better than fine-tuning." in comparison.notes
    assert "Under 50 rows a good prompt or retrieval usually does better than fine-tuning." in said
    assert "Only 3 rows" not in said, "the run reports its data's findings itself"


def test_enough_rows_are_started_without_a_word(tiny_model: Path, questions: Path) -> None:
    rows = questions.parent / "many.jsonl"
    rows.write_text("".join(f'{{"prompt": "what is {i}?", "completion": "the number {i}"}}\n' for i in range(400)))
    comparison = situation.predict(Answers(model=str(tiny_model), data=str(rows)))
    assert list(starting.warnings(comparison, "lora")) == []
