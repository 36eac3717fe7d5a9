"""`fttui data`: the report, its findings and rows as the model sees them, as text and as JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from tests.backend.data.rows import jsonl, pairs
from tui.cli import run

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 384,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> str:
    """A folder for planning: a config, a tokenizer and a template, no weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tiny_model / name).is_file():
            shutil.copy(tiny_model / name, folder / name)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return str(folder)


def seen(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["data", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_json_counts_used_and_refused_rows(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "source": "here"} for row in pairs(60)]
    rows[7]["answer"] = ""
    report = seen(capsys, jsonl(tmp_path / "rows.jsonl", rows), "--model", model)
    assert (report["rows"], report["used_rows"], report["refused_rows"]) == (60, 59, 1)
    assert (report["mapping"], report["unused_columns"]) == ({"prompt": "question", "completion": "answer"}, ["source"])
    assert 0 < report["target_tokens"] < report["tokens"] and report["exact"]
    (empty,) = (x for x in report["findings"] if x["kind"] == "empty-rows")
    assert (empty["severity"], empty["rows"], empty["row_count"]) == ("warns", [7], 1)
    assert empty["fix"]
    assert "examples" not in report


def test_rows_are_shown_token_by_token(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pairs(60)
    rows[1]["answer"] = "Größe 🦙 東京"  # of several tokens a character
    rows[2]["answer"] = None
    path = jsonl(tmp_path / "rows.jsonl", rows)
    first, second = seen(capsys, path, "--model", model, "--row", "1", "--row", "2")["examples"]
    assert (first["row"], first["refused"]) == (1, None)
    assert "".join(token["text"] for token in first["tokens"]) == (
        "<|im_start|>user\nWhat is 1 plus 1?<|im_end|>\n<|im_start|>assistant\nGröße 🦙 東京<|im_end|>\n"
    )
    assert "".join(token["text"] for token in first["tokens"] if token["target"]) == "Größe 🦙 東京<|im_end|>"
    assert all(isinstance(token["id"], int) for token in first["tokens"])
    assert (second["row"], second["tokens"]) == (2, []) and "row 3" in second["refused"]


def test_a_plan_field_changes_which_answers_are_targets(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(2) for role in ("user", "assistant")]
    path = jsonl(tmp_path / "chats.jsonl", [{"messages": turns}] * 3)

    def targets(*settings: str) -> tuple[int, str]:
        report = seen(capsys, path, "--model", model, "--row", "0", *settings)
        row = report["examples"][0]["tokens"]
        return report["target_tokens"], "".join(token["text"] for token in row if token["target"])

    everything, both = targets()
    last_alone, last = targets("--set", "train_on_turns=last")
    assert "assistant 0" in both and "assistant 1" in both
    assert "assistant 0" not in last and "assistant 1" in last
    assert last_alone < everything


def test_a_max_length_cuts_rows_and_counts_what_is_left(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pairs(60)
    rows[4]["question"] *= 40
    path = jsonl(tmp_path / "rows.jsonl", rows)
    report = seen(capsys, path, "--model", model, "--max-length", "100", "--row", "4", "--row", "5")
    assert (report["rows"], report["used_rows"], report["refused_rows"], report["truncated_rows"]) == (60, 59, 1, 1)
    kinds = {x["kind"]: x["severity"] for x in report["findings"]}
    assert kinds["answers-cut"] == "warns" and "rows-cut" in kinds
    cut, whole = report["examples"]
    assert (len(cut["tokens"]), cut["truncated"]) == (100, True) and "within 100 tokens" in cut["refused"]
    assert (whole["truncated"], whole["refused"]) == (False, None)
    everything = seen(capsys, path, "--model", model, "--max-length", "5")
    (stop,) = (x for x in everything["findings"] if x["severity"] == "stops")
    assert everything["used_rows"] == 0 and stop == everything["findings"][0] and "--max-length" in stop["fix"]


def test_the_text_fits_80_columns_and_has_findings_with_their_fix(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**row, "note": f"\x1b[31mred {at}"} for at, row in enumerate(pairs(30))]
    rows[3]["answer"] = "A long answer of many words \x1b[2J. " * 20
    path = jsonl(tmp_path / "rows.jsonl", rows)
    assert run(["data", path, "--model", model, "--row", "3", "--max-length", "200"]) == 0
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= 80 and "\x1b" not in text
    assert "prompt=question, completion=answer" in text and "unused      note" in text
    assert "rows        30, 30 used" in text and "cut at 200" in text
    assert "warn  Only 30 rows" in text and "-> collect more rows" in text
    assert text.index("warn  ") < text.index("note  ") if "note  " in text else True
    assert "row 3 (counted from 0): 200 tokens" in text and "⟦A long answer" in text
    assert run(["data", path, "--model", model, "--row", "3", "--tokens"]) == 0
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= 80 and "\x1b" not in text
    assert any(line.split()[1:] == ["target", "<|im_end|>"] for line in text.splitlines())


def test_without_a_model_rows_are_roles_and_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = jsonl(tmp_path / "rows.jsonl", pairs(60))
    assert run(["data", path, "--row", "59"]) == 0
    text = capsys.readouterr().out
    assert "user: What is 59 plus 59?" in text and "assistant: ⟦It is 118, I think.⟧" in text
    report = seen(capsys, path, "--row", "0")
    assert not report["exact"] and report["examples"][0]["tokens"] == []
    assert report["examples"][0]["text"] == "user: What is 0 plus 0?\nassistant: It is 0, I think.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing.jsonl",), "nothing.jsonl does not exist"),
        (("rows.jsonl", "--row", "60"), "row: 60 won't do; it takes a number from 0 to 59"),
        (("rows.jsonl", "--row", "-1"), "row: -1 won't do"),
        (("rows.jsonl", "--max-length", "0"), "max length: 0 won't do"),
        (("rows.jsonl", "--mapping", "prompt=quesion"), "did you mean 'question'"),
        (("rows.jsonl", "--model", "/nowhere/at/all"), "/nowhere/at/all does not exist"),
        (
            ("rows.jsonl", "--set", "epochs=2"),
            "set: epochs changes no row; here it takes special_tokens_in_data and train_on_turns",
        ),
        ((), "`fttui data` needs FILE"),
    ],
)
def test_wrong_input_is_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "rows.jsonl", pairs(60))
    assert run(["data", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and said.startswith("fttui: ")
