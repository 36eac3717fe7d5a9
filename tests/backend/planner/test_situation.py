"""What the planner looks up obeys what the user chose about the data."""

from __future__ import annotations

from pathlib import Path

from backend.answers import Answers
from backend.planner import situation
from tests.backend.data.rows import jsonl


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
