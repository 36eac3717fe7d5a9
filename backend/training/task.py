"""The score of a task: the model's own answers to held-out questions, generated in batches and compared by rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from backend.data.probes import Probe
from backend.data.scoring import is_right, wilson
from backend.run.events import TaskScored
from backend.training import relief, sample
from backend.training.network import Network
from backend.training.parallel.execution import Execution
from backend.training.report import Report

SCORING = "scoring the task"


class Task:
    """The held-out questions of a run, and how their answers are compared."""

    def __init__(self, questions: Sequence[Probe], tokenizer: Any, at_once: int) -> None:
        """`at_once`: questions that are answered together; fewer if memory runs out."""
        self._questions = sorted(questions, key=lambda probe: len(probe.ids))
        self._tokenizer = tokenizer
        self._at_once = at_once

    def score(
        self, network: Network, execution: Execution, report: Report, step: int, broken_off: Callable[[], bool]
    ) -> TaskScored | None:
        """The share of right answers with its interval; None if broken off, or if not even one fits into memory.

        All ranks score together, each its share of the questions.
        """
        ranks, task, right, at = execution.ranks, execution.plan.task, 0, 0
        while at < len(self._questions):
            if broken_off():
                return None
            report.progress("questions", at, len(self._questions))
            some = self._questions[at : at + self._at_once * ranks.count]
            own = some[ranks.rank :: ranks.count]
            asked = partial(self._answers, network, execution, own or some[:1])  # all ranks have to run a sharded model
            done = relief.attempt(asked, report, step, SCORING, ranks)
            if done:
                pairs = zip(done[0], own, strict=False)
                right += sum(is_right(task, text, one.answer or "") for text, one in pairs)
                at += len(some)
            elif self._at_once == 1:
                report.warn("no memory was left to score the task; training goes on without it")
                return None
            else:
                self._at_once //= 2
        right = sum(ranks.all_of(right))
        low, high = wilson(right, at)
        return TaskScored(step=step, name=task, score=right / at, low=low, high=high, rows=at) if at else None

    def _answers(self, network: Network, execution: Execution, some: Sequence[Probe]) -> list[str]:
        prompts = [one.ids for one in some]
        return sample.answers(network, self._tokenizer, prompts, execution, execution.plan.task_tokens, None)
