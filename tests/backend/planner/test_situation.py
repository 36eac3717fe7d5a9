"""What the planner looks up follows the user's choices about the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.answers import Answers
from backend.errors import UserError
from backend.planner import situation
from tests.backend.data.rows import jsonl, pairs


def test_the_plan_counts_the_answers_that_the_run_learns(tmp_path: Path, tiny_model: Path) -> None:
    turns = [("user", "Who?"), ("assistant", "The first answer."), ("user", "Sure?"), ("assistant", "Yes.")]
    rows = [{"messages": [{"role": role, "content": f"{text} {n}"} for role, text in turns]} for n in range(60)]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    every = situation.predict(Answers(model=str(tiny_model), data=path, gpu="RTX 4090")).data
    last = situation.predict(
        Answers(model=str(tiny_model), data=path, gpu="RTX 4090", set=("train_on_turns=last",))
    ).data
    assert every.tokens == last.tokens
    assert every.scored_tokens > 2 * last.scored_tokens


def test_the_plan_counts_the_bad_answers_that_kto_learns_from(tmp_path: Path, tiny_model: Path) -> None:
    path = jsonl(
        tmp_path / "rows.jsonl", [{"prompt": f"{n}?", "completion": "Yes", "label": n % 2 == 0} for n in range(64)]
    )

    def steps(objective: str) -> int:
        settings = (f"objective={objective}", "epochs=1", "effective_batch=4", "eval_fraction=0")
        answers = Answers(model=str(tiny_model), data=path, gpu="RTX 4090", set=settings)
        return situation.predict(answers).methods["lora"].steps

    assert (steps("sft"), steps("kto")) == (8, 16)


@pytest.mark.parametrize(
    ("count", "settings", "sentence"),
    [
        (
            40,
            ("eval_fraction=0", "task=number"),
            "task: no row is held out .*, since eval_fraction is 0; set eval_fraction",
        ),
        (40, ("eval_fraction=0", "early_stopping_patience=2"), "early_stopping_patience: no row is held out to tell"),
        (5, ("task=number",), "since there are 5 rows; set eval_fraction to 0.2,"),
        (1, ("early_stopping_patience=2",), "since there are 1 row; it takes two rows or more"),
    ],
)
def test_what_only_held_out_rows_can_tell_is_refused_without_any(
    count: int, settings: tuple[str, ...], sentence: str, tmp_path: Path, tiny_model: Path
) -> None:
    path = jsonl(tmp_path / "rows.jsonl", pairs(count))
    with pytest.raises(UserError, match=sentence) as refused:
        situation.predict(Answers(model=str(tiny_model), data=path, gpu="RTX 4090", set=settings))
    assert refused.value.field == settings[-1].partition("=")[0]


def test_few_general_rows_that_come_often_are_told(tmp_path: Path, tiny_model: Path) -> None:
    def kinds(*settings: str) -> set[str]:
        path = jsonl(tmp_path / "rows.jsonl", pairs(400))
        answers = Answers(model=str(tiny_model), data=path, gpu="RTX 4090", set=settings)
        return {found.kind for found in situation.predict(answers).findings}

    assert "general-repeated" in kinds("replay_fraction=0.6")
    assert "general-repeated" not in kinds("replay_fraction=0.1")


def test_a_limit_of_forgetting_is_a_fraction(tmp_path: Path, tiny_model: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", pairs(40))
    with pytest.raises(UserError, match=r"max_forgetting: 5 is a rise of 500 %; it is a fraction: 0\.05 for 5 %"):
        situation.predict(Answers(model=str(tiny_model), data=path, gpu="RTX 4090", set=("max_forgetting=5",)))


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n", b'{"x": 1}\n'])
def test_general_text_that_can_t_be_read_is_refused_before_the_run(
    content: bytes | None, tmp_path: Path, tiny_model: Path
) -> None:
    path, general = jsonl(tmp_path / "rows.jsonl", pairs(40)), tmp_path / "general.jsonl"
    if content is not None:
        general.write_bytes(content)
    answers = Answers(model=str(tiny_model), data=path, gpu="RTX 4090", set=(f"general_data={general}",))
    with pytest.raises(UserError, match=r"^general_data: .*general\.jsonl") as refused:
        situation.predict(answers)
    assert refused.value.field == "general_data"
