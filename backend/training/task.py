"""The score of a task: the model's own answers to held-out questions, generated in batches and compared by rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from backend.data.probes import Probe
from backend.data.scoring import is_right, wilson
from backend.run.events import TaskScored
from backend.training import relief, sample
from backend.training.compiling import uncompiled
from backend.training.network import Network
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.report import Report

AT_ONCE = 8
"""Questions that are answered together; fewer if memory runs out."""
SCORING = "scoring the task"


class Task:
    """The held-out questions of a run, and how their answers are compared."""

    def __init__(self, questions: Sequence[Probe], tokenizer: Any) -> None:
        self._questions = sorted(questions, key=lambda probe: len(probe.ids))
        self._tokenizer = tokenizer
        self._at_once = AT_ONCE

    def score(
        self, network: Network, execution: Execution, report: Report, step: int, broken_off: Callable[[], bool]
    ) -> TaskScored | None:
        """The share of right answers with its interval; None if broken off, or if not even one fits into memory."""
        task, right, at = execution.plan.task, 0, 0
        while at < len(self._questions):
            if broken_off():
                return None
            report.progress("questions", at, len(self._questions))
            some = self._questions[at : at + self._at_once]
            done = relief.attempt(partial(self._answers, network, execution, some), report, step, SCORING)
            if done:
                right += sum(is_right(task, text, one.answer) for text, one in zip(done[0], some, strict=True))
                at += len(some)
            elif self._at_once == 1:
                report.warn("no memory was left to score the task; training goes on without it")
                return None
            else:
                self._at_once //= 2
        low, high = wilson(right, at)
        return TaskScored(step=step, name=task, score=right / at, low=low, high=high, rows=at) if at else None

    @torch.no_grad()
    def _answers(self, network: Network, execution: Execution, some: Sequence[Probe]) -> list[str]:
        """Greedy answers; prompts are padded at their start, where the mask hides it."""
        from transformers import GenerationConfig

        longest = max(len(one.ids) for one in some)
        pad = self._tokenizer.pad_token_id
        ids = np.full((len(some), longest), 0 if pad is None else pad, np.int64)
        mask = np.zeros_like(ids)
        for row, one in enumerate(some):
            ids[row, longest - len(one.ids) :], mask[row, longest - len(one.ids) :] = one.ids, 1
        config = GenerationConfig(
            max_new_tokens=execution.plan.task_tokens,
            do_sample=False,
            use_cache=True,
            eos_token_id=sample.ends(network, self._tokenizer),
            pad_token_id=0 if pad is None else pad,
        )
        network.eval()
        try:
            with autocast(execution.plan, execution.device), uncompiled(execution.plan):
                written = network.generate(
                    input_ids=torch.from_numpy(ids).to(execution.device),
                    attention_mask=torch.from_numpy(mask).to(execution.device),
                    generation_config=config,
                )
        finally:
            network.train()
        return [str(x).strip() for x in self._tokenizer.batch_decode(written[:, longest:], skip_special_tokens=True)]
