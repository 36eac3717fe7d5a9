"""Runs and rows for the trainer's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.answers import METHODS, Method
from backend.data.preferences import Preference
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run import history, plan_file
from backend.run.folder import RunFolder
from backend.training import loss, methods, rng
from backend.training.batches import Row, micro_batches
from backend.training.optim.optimizers import Updater, updater
from backend.training.parallel.execution import Execution
from backend.training.step import forward_backward
from tests import events_on_disk

ALL = METHODS
SMALL = Plan(
    precision="float32",
    epochs=2,
    effective_batch=8,
    micro_batch=2,
    max_length=128,
    learning_rate=5e-3,
    eval_fraction=0.1,
    eval_every=5,
    rank=4,
    alpha=8,
)


def plan(method: Method = "lora", **changes: Any) -> Plan:
    """A small float32 plan."""
    return replace(SMALL, method=method, quantization="nf4" if method == "qlora" else "none", **changes)


def new_run(model: Path, data: Path, method: Method = "lora", **changes: Any) -> RunFolder:
    """A run folder as the planner would make it."""
    output = changes.pop("output", None)
    job = Job(
        model=str(model),
        model_folder=str(model),
        data=str(data),
        plan=plan(method, **changes),
        device="cpu",
        device_name="CPU",
        output=output,
    )
    return RunFolder.create(job)


def set_processes(folder: RunFolder, count: int) -> None:
    """Let a run continue with this many processes, however few cores there are."""
    job = folder.job()
    plan_file.write(folder.plan_file, replace(job, plan=replace(job.plan, processes=count)))


def events(folder: RunFolder, name: str) -> list[dict[str, Any]]:
    """All events of one name, in order."""
    return events_on_disk.read(folder.events_file, name)


def losses(folder: RunFolder) -> dict[int, float]:
    """Step -> loss as `History` sees it."""
    past = history.read(folder.events_file)
    return dict(zip(past.steps, past.losses, strict=True))


def log_text(folder: RunFolder) -> str:
    """All log messages, one per line."""
    return "\n".join(event["text"] for event in events(folder, "log"))


def random_rows(count: int = 8, vocabulary: int = 384, longest: int = 40, seed: int = 0) -> list[Row]:
    """Rows of different lengths, their first third a prompt."""
    draw = np.random.default_rng(seed)
    rows = []
    for length in draw.integers(6, longest, count):
        ids = draw.integers(0, vocabulary, length).astype(np.int32)
        rows.append((ids, np.arange(length) >= max(1, length // 3)))
    return rows


def loaded(model: Path, settings: Plan) -> methods.Loaded:
    """The model, loaded for `settings`, adapters from seed 0 with nonzero B matrices, so that all have gradients."""
    rng.seed(0)
    result = methods.load(model, str(model), Execution(settings, "cpu"))
    with torch.no_grad():
        for name, parameter in result.trainable().items():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return result


def one_step(it: methods.Loaded, rows: Sequence[Row], settings: Plan, **options: Any) -> tuple[float, Updater]:
    """One optimizer step on `rows`; its loss, and the updater."""
    update = updater(it.trainable(), Execution(settings, "cpu"))
    loss_of = (loss.chunked if settings.chunked_loss else loss.whole)(it.network)
    update.begin(0, settings.learning_rate)
    mean = forward_backward(
        loss_of, micro_batches(rows, Execution(settings, "cpu", **options)), update, Execution(settings, "cpu")
    )
    update.finish()
    return float(mean), update


def gradients(
    it: methods.Loaded, rows: Sequence[Row], settings: Plan, **options: Any
) -> tuple[float, dict[str, Tensor]]:
    """The loss of `rows`, and the gradients of the trainable parameters."""
    it.model.zero_grad()
    loss_of = (loss.chunked if settings.chunked_loss else loss.whole)(it.network)
    batches = micro_batches(rows, Execution(settings, "cpu", **options))
    mean = forward_backward(loss_of, batches, _Backward(), Execution(settings, "cpu"))
    found = {name: p.grad.clone() for name, p in it.trainable().items() if p.grad is not None}
    it.model.zero_grad()
    return float(mean), found


class _Backward:
    """An updater that only runs the backward pass."""

    def begin(self, step: int, learning_rate: float) -> None: ...

    def backward(self, loss: Tensor, *, last: bool) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def finish(self) -> Tensor:
        raise AssertionError

    def abandon(self) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def adopt(self, state: dict[str, Any], values_of: Any) -> None: ...


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    """Equal up to `tolerance` of each tensor's largest value."""
    assert ours.keys() == theirs.keys() and ours
    for name, value in ours.items():
        scale = theirs[name].abs().max().clamp(min=1e-12)
        assert ((value - theirs[name]).abs().max() / scale) < tolerance, name


def some_pairs(count: int = 6) -> list[Preference]:
    """Pairs whose sides share the prompt, as real ones do."""
    found = []
    for better, other in zip(random_rows(count, seed=1), random_rows(count, seed=2), strict=True):
        start, end = int(better[1].argmax()), int(other[1].argmax())
        ids = np.concatenate([better[0][:start], other[0][end:]])
        found.append(Preference((better, (ids, np.arange(len(ids)) >= start))))
    return found


def marked(pairs: list[Preference]) -> list[Preference]:
    """The better answers alone, two of three marked good."""
    return [Preference(row.rows[:1], at % 3 != 0) for at, row in enumerate(pairs)]
