"""The task's score: the model's own greedy answers, before and after, without any effect on the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.data.probes import Probe
from backend.run import history, tasks
from backend.run.summary import summarise
from backend.training import relief, sample
from backend.training.parallel.execution import Execution
from backend.training.saving.result import tokenizer_of
from backend.training.task import Task
from backend.training.train import train
from tests.backend.training.helpers import events, loaded, new_run, plan, random_rows
from tests.backend.training.test_resume import SETTINGS, assert_equal_runs, finish


def test_answers_in_a_batch_are_those_of_single_questions(tiny_model: Path) -> None:
    settings = plan("lora", task="number", task_tokens=sample.NEW_TOKENS)
    it, execution = loaded(tiny_model, settings), Execution(settings, "cpu")
    tokenizer = tokenizer_of(tiny_model, None)
    questions = [Probe((), ids, "", "1") for ids, _ in random_rows(5)]
    together = Task(questions, tokenizer, 8)._answers(
        it.network, execution, sorted(questions, key=lambda x: len(x.ids))
    )
    limits = sample.NEW_TOKENS, None
    alone = [
        sample.answers(it.network, tokenizer, [x.ids], execution, *limits)[0]
        for x in sorted(questions, key=lambda x: len(x.ids))
    ]
    assert together == alone
    assert it.network.training


def test_before_and_after_and_the_losses_stay(tiny_model: Path, questions: Path) -> None:
    without = finish(new_run(tiny_model, questions, "lora", **SETTINGS))
    settings: dict[str, Any] = {**SETTINGS, "task": "number", "task_tokens": 8}
    folder = new_run(tiny_model, questions, "lora", **settings)
    assert_equal_runs(finish(folder), without)
    first, last = events(folder, "task")
    assert (first["step"], last["step"], first["name"]) == (0, 10, "number")
    rows = events(folder, "run_started")[-1]["eval_rows"]
    assert first["rows"] == last["rows"] == rows
    assert last["low"] <= last["score"] <= last["high"]
    past = history.read(folder.events_file)
    assert summarise(folder).task == tasks.change(past.tasks)
    assert summarise(folder).task_score == last["score"]


def test_what_steps_and_evaluations_have_freed_is_given_back(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each would peak half a gibibyte higher than necessary on the demo."""
    given_back: list[int] = []
    monkeypatch.setattr(relief, "trim_heap", lambda: given_back.append(1))
    folder = new_run(tiny_model, questions, "lora", max_steps=2, eval_every=1, task="number", task_tokens=4)
    assert train(folder) == "done"
    assert len(given_back) == 2 * 3 + 2 + 1, "before and after three evaluations, two scores, and the end of the run"


def test_fewer_at_once_if_memory_runs_out(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def answers(self: Task, network: Any, execution: Any, some: Any) -> list[str]:
        sizes.append(len(some))
        if len(some) > 1:
            raise MemoryError
        return [one.answer for one in some]

    monkeypatch.setattr(Task, "_answers", answers)
    folder = new_run(tiny_model, questions, "lora", task="number", max_steps=1)
    assert train(folder) == "done"
    assert events(folder, "task")[-1]["score"] == 1.0
    assert max(sizes) > 1 and sizes[-1] == 1
