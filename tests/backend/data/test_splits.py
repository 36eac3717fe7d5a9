"""Which files of a folder are used for training, for evaluation, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.data.chat.tokenizer import TextTokenizer
from backend.data.inspect import inspect
from backend.data.prepare import prepare
from backend.data.reading.load import load
from backend.errors import UserError
from tests.backend.data.rows import jsonl, pairs


def folder(root: Path, **splits: list[dict[str, Any]]) -> str:
    for name, rows in splits.items():
        jsonl(root / "set" / f"{name}.jsonl", rows)
    return str(root / "set")


def kinds(reference: str) -> dict[str, str]:
    return {found.kind: found.text for found in inspect(reference).findings}


def test_a_validation_split_beside_the_training_one_is_evaluated_on(tmp_path: Path, tiny_model: Path) -> None:
    rows = pairs(70)
    path = folder(tmp_path, train=rows[:60], validation=rows[60:66], test=rows[66:])
    report = inspect(path)
    assert (report.rows, report.held_out_rows) == (60, 6)
    assert "validation.jsonl (6 rows)" in kinds(path)["validation-split"]
    assert report.split(512, 0.1) == (60, 6)
    made = prepare(path, (), tiny_model, 256, 0.1, 0)
    assert (len(made.train), len(made.held_out)) == (60, 6)
    tokenizer = TextTokenizer.load(tiny_model)
    for at, row in enumerate(rows[60:66]):
        assert row["answer"] in tokenizer.decode(made.held_out[at][0].tolist())
    assert made.probes[0].prompt == rows[60]["question"]
    assert any(found.kind == "validation-split" for found in made.findings)


def test_without_evaluation_the_validation_split_is_left_alone(tmp_path: Path, tiny_model: Path) -> None:
    path = folder(tmp_path, train=pairs(30), dev=pairs(40)[30:])
    made = prepare(path, (), tiny_model, 256, 0.0, 0)
    assert (len(made.train), len(made.held_out)) == (30, 0)
    assert inspect(path).split(512, 0.0) == (30, 0)


def test_a_large_validation_split_is_evaluated_on_in_part(tmp_path: Path, tiny_model: Path) -> None:
    rows = pairs(530)
    path = folder(tmp_path, train=rows[:30], val=rows[30:])
    made = prepare(path, (), tiny_model, 256, 0.1, 0)
    assert len(made.held_out) == 200
    assert made.held_out.places[0] == 0
    assert made.held_out.places[-1] == 499
    assert np.diff(made.held_out.places).min() > 0
    assert inspect(path).split(512, 0.1) == (30, 200)


def test_rows_of_the_validation_split_that_are_trained_on_are_counted(tmp_path: Path) -> None:
    rows = pairs(60)
    leak = kinds(folder(tmp_path, train=rows[:55], valid=rows[50:]))["validation-leak"]
    assert leak.startswith("5 rows of 10 rows of the validation split are trained on too")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("train-00000-of-00003", "train-00002-of-00003"), "Of 3 files train-*, number 1 is missing: its rows are"),
        (("train-00001-of-00003-0ab1", "test-00000-of-00002"), "Of 3 files train-*, numbers 0, 2 are missing: their"),
        (("data-2-of-2",), "Of 2 files data-*, number 1 is missing: its rows are not used."),
        (("train-00000-of-00001", "validation-00001-of-00002"), "Of 2 files validation-*, number 0 is missing"),
        (("train-00000-of-00002", "train-00001-of-00002"), ""),
        (("part_1_of_2", "part_2_of_2"), ""),
        (("one-of-1000000",), ""),
    ],
)
def test_files_that_others_number_and_that_are_not_there_are_said(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    rows = pairs(20)
    path = folder(tmp_path, **{name: rows[8 * at : 8 * at + 8] for at, name in enumerate(names)})
    assert kinds(path).get("missing-files", "").startswith(said) if said else "missing-files" not in kinds(path)


CARD = """---
language: en
configs:
- config_name: default
  data_files:
  - split: train
    path: "parts/a*.jsonl"
  - split: dev
    path:
    - bench.jsonl
  - path: hard.jsonl
    split: hard
tags:
- x
---
# Rows
"""


def test_splits_that_the_card_names_are_not_trained_on(tmp_path: Path) -> None:
    rows = pairs(40)
    path = folder(tmp_path, bench=rows[:5], hard=rows[5:12], **{"parts/a1": rows[12:20], "parts/a2": rows[20:40]})
    assert inspect(path).rows == 40
    card = Path(path) / "README.md"
    card.write_text(CARD)
    report = inspect(path)
    assert (report.rows, report.held_out_rows) == (28, 5)
    assert "By README.md bench.jsonl (dev), hard.jsonl (hard) belong to other splits" in kinds(path)["splits"]
    several = CARD.replace("tags:", "- config_name: b\ntags:")
    broken = ("# Rows", "---\n", "---\n- a\n---\n", "---\n" + "[" * 9000 + "\n---\n", "---\na: 2026-99-99\n---\n")
    for other in (CARD.replace("parts/a", "b/"), several, *broken):
        card.write_text(other)
        assert inspect(path).rows == 40


def test_splits_of_different_purpose_are_not_mixed(tmp_path: Path) -> None:
    sft, gen = "train_sft-00000-of-00001", "train_gen-00000-of-00001"
    path = folder(tmp_path, **{sft: pairs(20), gen: pairs(40)[20:], "test_sft": pairs(4)})
    source = load(path)
    assert [file.name for file in source.files] == [f"{sft}.jsonl"]
    assert source.held_out is None
    assert f"{gen}.jsonl is not mixed in" in kinds(path)["splits"]


def test_two_purposes_of_which_none_is_fine_tuning_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"different purpose \(train_dpo.jsonl, train_ppo.jsonl\); name one"):
        load(folder(tmp_path, train_dpo=pairs(3), train_ppo=pairs(3)))


def test_the_parts_of_one_split_belong_together(tmp_path: Path) -> None:
    rows = pairs(9)
    source = load(folder(tmp_path, **{f"train-{n:05}-of-00003": rows[3 * n : 3 * n + 3] for n in range(3)}))
    assert list(source.rows) == rows


def test_files_without_a_column_in_common_are_refused(tmp_path: Path) -> None:
    other = [{"instruction": "q", "output": "a"}]
    with pytest.raises(UserError, match=r"a.jsonl \(question, answer\) and b.jsonl \(instruction, output\)"):
        load(folder(tmp_path, a=pairs(3), b=other))


def test_a_copy_of_a_file_is_read_once(tmp_path: Path) -> None:
    source = load(folder(tmp_path, **{"rows": pairs(5), "rows copy": pairs(5)}))
    assert len(source.rows) == 5
    assert source.notes[-1] == "rows copy.jsonl is a copy of rows.jsonl and is left out."


def test_a_test_split_alone_is_a_warning(tmp_path: Path) -> None:
    path = folder(tmp_path, test=pairs(60))
    (found,) = [x for x in inspect(path).findings if x.kind == "no-training-split"]
    assert found.severity == "warns"


@pytest.mark.parametrize("name", ["rows", "rows.jsonl.bak", "rows.jsonl~", "data.json5", "rows.JSONL", "config.jsonl"])
def test_a_file_that_is_named_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    jsonl(tmp_path / name, pairs(3))
    assert list(load(str(tmp_path / name)).rows) == pairs(3)


def test_folders_that_datasets_saved(tmp_path: Path) -> None:
    import pyarrow as pa

    for split, rows in (("train", pairs(5)), ("validation", pairs(7)[5:])):
        table = pa.Table.from_pylist(rows)
        (tmp_path / split).mkdir()
        for name in ("data-00000-of-00001.arrow", "cache-0123456789abcdef.arrow"):
            with pa.ipc.new_stream(str(tmp_path / split / name), table.schema) as writer:
                writer.write_table(table)
        for name in ("state.json", "dataset_info.json"):
            (tmp_path / split / name).write_text("{}")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    source = load(str(tmp_path))
    assert list(source.rows) == pairs(5)
    assert source.held_out is not None
    assert list(source.held_out.rows) == pairs(7)[5:]
    assert list(load(str(tmp_path / "train")).rows) == pairs(5)


def test_files_named_after_what_they_hold_are_read_together(tmp_path: Path) -> None:
    path = folder(tmp_path, chat=pairs(3), math=pairs(6)[3:], general_instruct=pairs(9)[6:])
    assert len(load(path).rows) == 9
