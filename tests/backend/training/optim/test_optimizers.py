from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from backend.answers import Method
from backend.training.batches import micro_batches
from backend.training.loss import whole
from backend.training.optim.optimizers import AfterBackward, InBackward, steps_in_backward, updater
from backend.training.parallel.execution import Execution
from backend.training.parallel.ranks import Ranks
from backend.training.step import forward_backward
from tests.backend.training.helpers import loaded, one_step, plan, random_rows

OPTIMIZERS = ["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor"]


def three_steps(model: Path, **changes: Any) -> tuple[dict[str, torch.Tensor], list[float]]:
    settings = plan("full", **changes)
    it = loaded(model, settings)
    update = updater(it.trainable(), Execution(settings, "cpu"))
    norms = []
    for step in range(3):
        update.begin(step, 1e-3)
        batches = micro_batches(random_rows(8, seed=step), Execution(settings, "cpu"))
        forward_backward(whole(it.network), batches, update, Execution(settings, "cpu"))
        norms.append(float(update.finish()))
    return {name: p.detach().clone() for name, p in it.trainable().items()}, norms


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("max_length", [64, 512])
def test_in_the_backward_pass_as_after_it(optimizer: str, max_length: int, tiny_model: Path) -> None:
    options: dict[str, Any] = {
        "optimizer": optimizer,
        "max_length": max_length,
        "max_grad_norm": 0.0,
        "weight_decay": 0.1,
    }
    usual, norms = three_steps(tiny_model, **options)
    ours, our_norms = three_steps(tiny_model, **options, optimizer_in_backward=True)
    assert all(torch.equal(ours[name], value) for name, value in usual.items())
    assert our_norms == pytest.approx(norms, rel=1e-5)


def test_in_the_backward_pass_clips_by_the_norm_of_the_step_before(tiny_model: Path) -> None:
    clipped, norms = three_steps(tiny_model, optimizer="adamw", optimizer_in_backward=True, max_grad_norm=0.05)
    free, _ = three_steps(tiny_model, optimizer="adamw", optimizer_in_backward=True, max_grad_norm=0.0)
    assert min(norms) > 0.05
    assert any(not torch.equal(clipped[name], value) for name, value in free.items())


def test_no_gradient_stays_in_memory(tiny_model: Path) -> None:
    settings = plan("full", optimizer_in_backward=True, max_length=512)
    it = loaded(tiny_model, settings)
    _, update = one_step(it, random_rows(8), settings)
    assert isinstance(update, InBackward)
    assert all(p.grad is None for p in it.trainable().values())


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(optimizer: str, method: Method, tiny_model: Path) -> None:
    settings = plan(method, optimizer=optimizer, max_length=512, learning_rate=3e-3)
    it = loaded(tiny_model, settings)
    update = updater(it.trainable(), Execution(settings, "cpu"))
    losses = []
    for step in range(6):
        update.begin(step, settings.learning_rate)
        batches = micro_batches(random_rows(8), Execution(settings, "cpu"))
        losses.append(float(forward_backward(whole(it.network), batches, update, Execution(settings, "cpu"))))
        update.finish()
    assert losses[-1] < losses[0] - 0.05


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_gradient_that_is_not_finite_changes_nothing(optimizer: str, in_backward: bool, tiny_model: Path) -> None:
    settings = plan("full", optimizer=optimizer, optimizer_in_backward=in_backward, max_length=512)
    it = loaded(tiny_model, settings)
    update = updater(it.trainable(), Execution(settings, "cpu"))
    before = {name: p.detach().clone() for name, p in it.trainable().items()}
    update.begin(0, 1e-3)
    loss = forward_backward(
        lambda batch: whole(it.network)(batch) * float("nan"),
        micro_batches(random_rows(8), Execution(settings, "cpu")),
        update,
        Execution(settings, "cpu"),
    )
    assert not torch.isfinite(loss)
    assert not torch.isfinite(update.finish())
    assert all(torch.equal(p, before[name]) for name, p in it.trainable().items())


class Endless(torch.autograd.Function):
    """Infinite in the forward pass; the identity's gradient in the backward pass."""

    @staticmethod
    def forward(ctx: Any, loss: torch.Tensor) -> torch.Tensor:
        return loss + float("inf")

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_a_loss_that_is_not_finite_skips_even_a_finite_gradient(
    optimizer: str, in_backward: bool, tiny_model: Path
) -> None:
    settings = plan("full", optimizer=optimizer, optimizer_in_backward=in_backward, max_length=32, micro_batch=2)
    it = loaded(tiny_model, settings)
    update = updater(it.trainable(), Execution(settings, "cpu"))
    before = {name: p.detach().clone() for name, p in it.trainable().items()}
    update.begin(0, 1e-3)
    batches = micro_batches(random_rows(8, longest=30), Execution(settings, "cpu"))
    assert len(batches) > 1

    def loss_of(batch: Any) -> torch.Tensor:
        loss: torch.Tensor = whole(it.network)(batch)
        return Endless.apply(loss) if batch is batches[0] else loss  # type: ignore[no-untyped-call]

    assert not torch.isfinite(forward_backward(loss_of, batches, update, Execution(settings, "cpu")))
    assert not torch.isfinite(update.finish())
    assert all(torch.equal(p, before[name]) for name, p in it.trainable().items())


def test_float16_scales_its_loss_and_needs_gradients_whole(tiny_model: Path) -> None:
    settings = plan("full", precision="float16", optimizer_in_backward=True, max_length=512)
    it = loaded(tiny_model, settings)
    loss, update = one_step(it, random_rows(8), settings)
    assert isinstance(update, AfterBackward)
    assert update.state_dict()["scaler"]["scale"] == 65536.0
    exact, _ = one_step(loaded(tiny_model, plan("full")), random_rows(8), plan("full"))
    assert loss == pytest.approx(exact, rel=1e-2)


def test_only_matrices_decay(tiny_model: Path) -> None:
    settings = plan("full", weight_decay=0.5, max_length=512)
    it = loaded(tiny_model, settings)
    update = updater(it.trainable(), Execution(settings, "cpu"))
    matrices, vectors = update.state_dict()["optimizer"]["param_groups"]
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.5, 0.0)
    assert len(vectors["params"]) == 5


def test_replicas_of_adapters_are_stepped_when_their_gradients_are_summed() -> None:
    """If it stepped in its own backward pass, each replica would learn only from its own rows."""
    settings = plan("lora", optimizer_in_backward=True)
    assert not steps_in_backward(Execution(settings, "cpu", ranks=Ranks(0, 2)))
    assert steps_in_backward(Execution(settings, "cpu"))
    assert steps_in_backward(Execution(plan("full", optimizer_in_backward=True), "cpu", ranks=Ranks(0, 2)))
