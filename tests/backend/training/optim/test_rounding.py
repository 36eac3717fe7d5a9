"""Full fine-tuning with 16-bit weights: what plain rounding loses, and that stochastic rounding does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from backend.plan.plan import Plan
from backend.training.batches import micro_batches
from backend.training.loss import whole
from backend.training.optim import optimizers, rounding
from backend.training.optim.optimizers import build, stepper, updater
from backend.training.optim.rounding import Piecewise, round_stochastically
from backend.training.parallel.execution import Execution
from backend.training.step import forward_backward
from tests.backend.training.helpers import loaded, plan, random_rows

OPTIMIZERS = ["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor"]
SIXTEEN: dict[str, Any] = {"precision": "bfloat16", "weights_dtype": "bfloat16"}
UP = "model.layers.0.mlp.up_proj.weight"


def test_a_value_goes_to_its_two_neighbours_and_keeps_its_mean() -> None:
    torch.manual_seed(0)
    step = 2.0**-7  # between 1 and 2 bfloat16 has 128 values
    exact = torch.full((40_000,), 1 + 0.25 * step)
    rounded = torch.empty(40_000, dtype=torch.bfloat16)
    round_stochastically(exact.clone(), rounded)
    assert set(rounded.tolist()) == {1.0, 1.0 + step}
    assert float((rounded == 1.0 + step).float().mean()) == pytest.approx(0.25, abs=0.01)
    negative = torch.empty_like(rounded)
    round_stochastically(-exact, negative)
    assert float(negative.double().mean()) == pytest.approx(-1 - 0.25 * step, abs=0.02 * step)


def test_what_bfloat16_holds_exactly_stays() -> None:
    exact = torch.randn(1000).bfloat16()
    exact[:3] = torch.tensor([0.0, float("inf"), -3e38])
    rounded = torch.empty_like(exact)
    round_stochastically(exact.float(), rounded)
    assert torch.equal(rounded, exact)


def train(model: Path, steps: int = 12, rate: float = 1e-4, **changes: Any) -> tuple[list[float], dict[str, Tensor]]:
    """Losses of `steps` steps on the same rows, and how far each weight moved."""
    settings = plan("full", max_length=512, learning_rate=rate, **changes)
    it = loaded(model, settings)
    before = {name: p.detach().float().clone() for name, p in it.trainable().items()}
    update = updater(it.trainable(), Execution(settings, "cpu"))
    losses = []
    for step in range(steps):
        update.begin(step, rate)
        batches = micro_batches(random_rows(8), Execution(settings, "cpu"))
        losses.append(float(forward_backward(whole(it.network), batches, update, Execution(settings, "cpu"))))
        update.finish()
    return losses, {name: p.detach().float() - before[name] for name, p in it.trainable().items()}


def test_stochastic_rounding_follows_float32_where_plain_bf16_stands_still(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = 3e-6  # weights of about 0.02 are 1e-4 apart in bfloat16: thirty such updates
    exact, moved = train(tiny_model, rate=rate, steps=40, precision="bfloat16")
    ours, ours_moved = train(tiny_model, rate=rate, steps=40, **SIXTEEN)
    monkeypatch.setattr(optimizers, "stepper", build)
    plain, plain_moved = train(tiny_model, rate=rate, steps=40, **SIXTEEN)
    fell = exact[0] - exact[-1]
    assert fell > 0.02
    assert (ours[0] - ours[-1]) == pytest.approx(fell, rel=0.15)
    assert plain[0] - plain[-1] < 0.5 * fell, "plain bf16 loses more than half of what was learnt"
    agrees = torch.nn.functional.cosine_similarity(ours_moved[UP].flatten(), moved[UP].flatten(), dim=0)
    assert float(ours_moved[UP].abs().mean()) > 0
    assert float(agrees) > 0.3, "noise of one rounding a step lies on every weight, the drift is the same"
    assert float((plain_moved[UP] == 0).float().mean()) > 0.5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("in_backward", [False, True])
def test_every_optimizer_trains_16_bit_weights(optimizer: str, in_backward: bool, tiny_model: Path) -> None:
    options: dict[str, Any] = {"optimizer": optimizer, "max_grad_norm": 0.0, "rate": 1e-3, "steps": 6}
    exact, _ = train(tiny_model, precision="bfloat16", **options)
    ours, _ = train(tiny_model, **SIXTEEN, **options, optimizer_in_backward=in_backward)
    assert exact[-1] < exact[0] - 0.3
    assert ours == pytest.approx(exact, rel=0.02)


def test_states_are_float32_and_weights_and_gradients_are_not(tiny_model: Path) -> None:
    settings = plan("full", **SIXTEEN)
    it = loaded(tiny_model, settings)
    update = updater(it.trainable(), Execution(settings, "cpu"))
    update.begin(0, 1e-3)
    forward_backward(
        whole(it.network), micro_batches(random_rows(8), Execution(settings, "cpu")), update, Execution(settings, "cpu")
    )
    assert {(p.dtype, p.grad.dtype) for p in it.trainable().values() if p.grad is not None} == {(torch.bfloat16,) * 2}
    update.finish()
    pieces = update.state_dict()["optimizer"]["pieces"]
    assert len(pieces) == len(it.trainable())
    states = [value for piece in pieces for state in piece["state"].values() for value in state.values()]
    assert {value.dtype for value in states} == {torch.float32}


def test_a_step_that_is_not_finite_changes_no_16_bit_weight(tiny_model: Path) -> None:
    settings = plan("full", **SIXTEEN)
    it = loaded(tiny_model, settings)
    before = {name: p.detach().clone() for name, p in it.trainable().items()}
    update = updater(it.trainable(), Execution(settings, "cpu"))
    update.begin(0, 1e-3)
    loss_of = whole(it.network)
    batches = micro_batches(random_rows(8), Execution(settings, "cpu"))
    forward_backward(lambda batch: loss_of(batch) * float("inf"), batches, update, Execution(settings, "cpu"))
    assert not torch.isfinite(update.finish())
    assert all(torch.equal(p, before[name]) for name, p in it.trainable().items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS[:3])
def test_in_pieces_as_in_one(optimizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stepped() -> tuple[Tensor, int]:
        torch.manual_seed(1)
        parameter = Parameter(torch.randn(96, 256).bfloat16())
        it = stepper([parameter], Plan(optimizer=optimizer))
        assert isinstance(it, Piecewise)
        for _ in range(3):
            parameter.grad = torch.randn(96, 256).bfloat16()
            it.step(lambda piece: piece.step())
        return parameter.detach(), len(it.state_dict()["pieces"])

    monkeypatch.setattr(rounding, "round_stochastically", lambda values, into: into.copy_(values))
    whole_one, one = stepped()
    monkeypatch.setattr(rounding, "PIECE", 32 * 256)
    in_pieces, three = stepped()
    assert (one, three) == (1, 3)
    assert torch.equal(whole_one, in_pieces)


@pytest.mark.parametrize(("optimizer", "dtype"), [("adamw", torch.bfloat16), ("adamw_8bit", torch.float32)])
def test_a_step_done_again_leaves_alone_what_it_had_updated(optimizer: Any, dtype: torch.dtype) -> None:
    def stepped(fails_at: int | None) -> list[Tensor]:
        torch.manual_seed(1)
        parameters = [Parameter(torch.randn(8, 16).to(dtype)) for _ in range(3)]
        it = stepper(parameters, Plan(optimizer=optimizer))
        assert isinstance(it, Piecewise)
        for parameter in parameters:
            parameter.grad = torch.randn(8, 16).to(dtype)
        calls: list[int] = []

        def apply(piece: torch.optim.Optimizer) -> None:
            calls.append(1)
            if len(calls) == fails_at:
                raise torch.OutOfMemoryError("CUDA out of memory")
            piece.step()

        if fails_at:
            with pytest.raises(torch.OutOfMemoryError):
                it.step(apply)
        it.step(apply)
        assert len(calls) == 3 + bool(fails_at)
        return [p.detach().clone() for p in parameters]

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(stepped(2), stepped(None), strict=True))


def test_adapters_in_16_bits_are_rounded_too(tiny_model: Path) -> None:
    settings = plan("lora", precision="bfloat16", adapter_dtype="bfloat16")
    it = loaded(tiny_model, settings)
    assert {p.dtype for p in it.trainable().values()} == {torch.bfloat16}
    assert isinstance(stepper(list(it.trainable().values()), settings), Piecewise)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_without_bf16_products_weights_stay_float32(precision: str, tiny_model: Path) -> None:
    for settings in (
        plan("full", precision=precision, weights_dtype="bfloat16"),
        plan("lora", precision=precision, adapter_dtype="bfloat16"),
    ):
        assert {p.dtype for p in loaded(tiny_model, settings).trainable().values()} == {torch.float32}
