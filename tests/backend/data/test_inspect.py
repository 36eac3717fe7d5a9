from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from backend.data import counting
from backend.data.constants import constants
from backend.data.inspect import assumed, inspect
from backend.data.preferences import prepare_preferences
from backend.data.prepare import prepare
from backend.errors import UserError
from backend.model.info import ModelInfo
from backend.model.shape import ModelShape
from tests.backend.data.rows import jsonl, pairs


@pytest.fixture
def model(tiny_model: Path) -> ModelInfo:
    sizes: dict[str, Any] = {"hidden": 64, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "intermediate": 128}
    shape = ModelShape("tiny", "llama", vocab=384, tied=True, context=512, linears=(), norm_parameters=0, **sizes)
    return ModelInfo("tiny", "folder", shape, tiny_model, True, 0, 0, tiny_model / "tokenizer.json")


def test_the_demo_without_a_model() -> None:
    report = inspect("demo")
    assert (report.rows, report.format, report.exact) == (480, "prompt-completion", False)
    assert report.mapping == {"prompt": "question", "completion": "answer"}
    assert 30_000 < report.tokens < 200_000
    assert report.problems == ()
    assert next(x.text for x in report.preview if x.scored).startswith("Natalia sold 48/2")


def test_counts_are_those_that_the_trainer_gets(tmp_path: Path, model: ModelInfo, tiny_model: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", pairs(60))
    report = inspect(path, model=model)
    made = prepare(path, (), tiny_model, 512, 0.0, 0)
    assert report.exact
    assert report.row_tokens.tolist() == made.train.lengths.tolist()
    assert report.row_scored_tokens.tolist() == made.train.scored_counts.tolist()
    firsts = [int(made.train[at][1].argmax()) for at in range(len(made.train))]
    assert report.row_prompt_tokens.tolist() == firsts


def test_kto_learns_from_the_rows_marked_as_bad_too(tmp_path: Path, model: ModelInfo, tiny_model: Path) -> None:
    """Their number is what steps and time follow from, and the longest of them what memory does."""
    rows = [{"prompt": f"{n}?", "completion": "Yes. " * (1 + n), "label": n % 4 != 3} for n in range(40)]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    kto = inspect(path, model=model, objective="kto")
    trained = prepare_preferences("kto", path, (), tiny_model, 512, 0.0, 0).train
    assert kto.row_tokens.tolist() == [len(trained[at].rows[0][0]) for at in range(40)]
    assert (inspect(path, model=model).rows, kto.rows, kto.refused_rows) == (30, 40, 0)
    assert "undesired-rows" not in {found.kind for found in kto.findings}
    assert kto.objectives == ("sft", "kto")


@pytest.mark.parametrize("has_tokenizer", [False, True])
def test_a_pair_is_planned_by_the_longer_of_its_answers(
    has_tokenizer: bool, tmp_path: Path, model: ModelInfo, tiny_model: Path
) -> None:
    """Both are padded to it: if only the better ones counted, memory and time would be those of a shorter run."""
    answers = [("Yes.", "No, " * 30), ("Yes, " * 40, "No."), ("Yes.", "No."), ("Yes.", "")]
    rows = [{"prompt": f"{i}?", "chosen": yes, "rejected": no} for i, (yes, no) in enumerate(answers)]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    planned = inspect(path, objective="dpo", model=model if has_tokenizer else None)
    assert planned.row_numbers.tolist() == [0, 1, 2] and planned.exact == has_tokenizer
    assert all(planned.row_tokens[at] > 3 * planned.row_tokens[2] for at in (0, 1))
    assert (planned.row_scored_tokens + planned.row_prompt_tokens <= planned.row_tokens).all()
    if has_tokenizer:
        trained = prepare_preferences("dpo", path, (), tiny_model, 512, 0.0, 0).train
        assert planned.row_tokens.tolist() == [max(len(ids) for ids, _ in trained[at].rows) for at in range(3)]
        assert planned.cut(512).pair_tokens == sum(len(ids) for at in range(3) for ids, _ in trained[at].rows)


def test_the_preview_is_the_first_row_as_the_model_sees_it(tmp_path: Path, model: ModelInfo) -> None:
    report = inspect(jsonl(tmp_path / "rows.jsonl", pairs(60)), model=model)
    assert [(segment.text, segment.scored) for segment in report.preview] == [
        ("<|im_start|>user\nWhat is 0 plus 0?<|im_end|>\n<|im_start|>assistant\n", False),
        ("It is 0, I think.<|im_end|>", True),
        ("\n", False),
    ]
    text = inspect(jsonl(tmp_path / "text.jsonl", [{"text": "A story."}] * 3), model=model)
    assert [(segment.text, segment.scored) for segment in text.preview] == [("A story.<|im_end|>", True)]


def test_many_rows_are_sampled_and_said(tmp_path: Path, model: ModelInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jsonl(tmp_path / "rows.jsonl", pairs(900))
    exact = inspect(path, model=model)
    few = replace(constants(), exact_rows=100, sample_rows=100)
    monkeypatch.setattr(counting, "constants", lambda: few)
    sampled = inspect(path, model=model)
    assert not sampled.exact
    assert sampled.rows == 900
    assert sampled.tokens == pytest.approx(exact.tokens, rel=0.02)
    assert sampled.scored_tokens == pytest.approx(exact.scored_tokens, rel=0.02)
    assert any("fitted for the others" in note for note in sampled.notes)
    assert np.array_equal(sampled.row_tokens, inspect(path, model=model).row_tokens)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (pairs(10), "Only 10 rows"),
        (pairs(60) * 2, "60 rows of 120 repeat another row"),
        ([*pairs(60), {"question": "x", "answer": ""}], "1 row without an answer or any text is left out"),
        ([{"question": str(n), "answer": "yes"} for n in range(60)], "Every row has the same answer"),
        ([{"question": str(n), "answer": f"I am {{{{name}}}}, {n}"} for n in range(60)], "such as {{name}}"),
        ([*pairs(60), {"question": "why " * 600, "answer": "So."}], "context of 512 tokens"),
    ],
)
def test_what_would_waste_a_run_is_said(
    tmp_path: Path, model: ModelInfo, rows: list[dict[str, Any]], sentence: str
) -> None:
    report = inspect(jsonl(tmp_path / "rows.jsonl", rows), model=model)
    assert sum(sentence in problem for problem in report.problems) == 1


def test_good_data_has_no_problems(tmp_path: Path, model: ModelInfo) -> None:
    report = inspect(jsonl(tmp_path / "rows.jsonl", pairs(60)), model=model)
    assert report.problems == ()
    assert (report.empty_rows, report.duplicate_rows) == (0, 0)


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one = inspect(jsonl(tmp_path / "a.jsonl", pairs(5))).fingerprint
    assert inspect(jsonl(tmp_path / "b.jsonl", pairs(5))).fingerprint == one
    assert inspect(jsonl(tmp_path / "a.jsonl", pairs(6))).fingerprint != one


def test_data_that_is_not_there_yet() -> None:
    report = assumed(1000, 400)
    assert (report.rows, report.tokens, report.format, report.exact) == (1000, 400_000, "none", False)
    assert 0 < report.scored_tokens < report.tokens
    for rows, row_tokens, field in ((0, 400, "rows"), (10, 1, "row_tokens")):
        with pytest.raises(UserError) as raised:
            assumed(rows, row_tokens)
        assert raised.value.field == field


def test_nothing_heavy_is_loaded(tmp_path: Path, tiny_model: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", pairs(30))
    code = (
        "import sys; from pathlib import Path; import backend.data.inspect, backend.data.prepare as p\n"
        "lazy = {'tokenizers', 'jinja2', 'pyarrow', 'huggingface_hub', 'datasets'} & set(sys.modules)\n"
        "assert not lazy, lazy\n"
        f"backend.data.inspect.inspect({path!r})\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules); assert not heavy, heavy\n"
        f"p.prepare({path!r}, (), Path({str(tiny_model)!r}), 64, 0.1, 0)\n"
        "heavy = {'torch', 'transformers'} & set(sys.modules); assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_what_a_sample_refuses_is_carried_over_to_all_rows(
    tmp_path: Path, model: ModelInfo, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the rows have two questions in succession, which the template refuses."""
    folder = tmp_path / "strict"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    user, answer = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    rows = [{"messages": [*([user] if n % 4 == 0 else []), {**user, "content": f"q{n}"}, answer]} for n in range(1200)]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    strict = replace(model, tokenizer_file=folder / "tokenizer.json")
    exact = inspect(path, model=strict)
    assert (exact.all_rows, exact.used_rows, exact.refused_rows) == (1200, 900, 300)
    monkeypatch.setattr(counting, "constants", lambda: replace(constants(), exact_rows=100, sample_rows=100))
    sampled = inspect(path, model=strict)
    assert (sampled.all_rows, sampled.used_rows, sampled.refused_rows) == (1200, 900, 300)
    assert len(sampled.row_tokens) == 900
    assert any("refuses 300 rows" in problem for problem in sampled.problems)
    made = prepare(path, (), folder, 512, 0.0, 0)
    assert (len(made.train), made.dropped) == (900, 300)


def test_what_the_plan_uses_under_a_cut_is_what_the_run_uses(
    tmp_path: Path, model: ModelInfo, tiny_model: Path
) -> None:
    rows = [{"question": "why " * (n * 3), "answer": "because " * (60 - n)} for n in range(1, 60)]
    for path in (jsonl(tmp_path / "a.jsonl", rows), jsonl(tmp_path / "b.jsonl", [{"text": x["answer"]} for x in rows])):
        report = inspect(path, model=model)
        for length in (40, 64, 101, 200):
            cut, made = report.cut(length), prepare(path, (), tiny_model, length, 0.0, 0)
            assert cut.rows == len(made.train)
            assert cut.tokens == made.train.lengths.sum()
            assert cut.truncated_rows - cut.unscored_rows == made.truncated
            assert report.split(length, 0.0) == (len(made.train), 0)


def test_long_documents_of_any_format_are_divided_and_said(tmp_path: Path, model: ModelInfo) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"text": "Tom has apples. " * 1000}, {"text": "Short."}] * 30)
    report = inspect(path, model=model)
    assert (report.all_rows, report.used_rows, report.refused_rows) == (60, 60, 0)
    assert report.rows == 30 * 4 + 30
    (found,) = [x for x in report.findings if x.kind == "documents-divided"]
    assert found.row_count == 30
    assert not any("context" in problem for problem in report.problems)


def test_rows_without_a_target_are_no_used_rows(tmp_path: Path, model: ModelInfo) -> None:
    user = {"role": "user", "content": "q"}
    rows = [{"messages": [user, {"role": "assistant", "content": f"a{n}", "weight": int(n != 4)}]} for n in range(9)]
    report = inspect(jsonl(tmp_path / "rows.jsonl", rows), model=model)
    assert (report.all_rows, report.used_rows, len(report.row_tokens)) == (9, 8, 8)


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_of_a_conversation_the_last_answer_alone_is_compared(
    objective: Literal["dpo", "kto"], tmp_path: Path, model: ModelInfo, tiny_model: Path
) -> None:
    """Truncation leaves out the rows whose last answer begins after the cut, however many answers come before it."""
    talks = [
        [{"role": role, "content": f"{role} {n} " * (1 + n % 5)} for _ in range(2) for role in ("user", "assistant")]
        for n in range(30)
    ]
    worse = [[*talk[:-1], {"role": "assistant", "content": "No."}] for talk in talks]
    pair = [{"chosen": good, "rejected": bad} for good, bad in zip(talks, worse, strict=True)]
    marked = [{"messages": talk, "label": n % 2 == 0} for n, talk in enumerate(talks)]
    path = jsonl(tmp_path / "rows.jsonl", pair if objective == "dpo" else marked)
    report = inspect(path, model=model, objective=objective)
    for length in (80, 120, 500):
        made = prepare_preferences(objective, path, (), tiny_model, length, 0.0, 0).train
        assert report.cut(length).rows == len(made)
    assert report.scored_tokens == sum(int(made[at].rows[0][1].sum()) for at in range(len(made)))
