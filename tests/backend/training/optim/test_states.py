"""Memory runs out in the optimizer: the repeated step ends with the weights of one that never failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from bitsandbytes.optim.optimizer import Optimizer8bit
from torch import Tensor
from torch.nn import Parameter

from backend.training.optim import optimizers
from backend.training.optim.optimizers import InBackward, updater
from backend.training.optim.rounding import Piecewise
from backend.training.parallel.execution import Execution
from tests.backend.training.helpers import plan

OUT = torch.OutOfMemoryError("CUDA out of memory")
SETTINGS: list[dict[str, Any]] = [
    {},
    {"precision": "bfloat16", "weights_dtype": "bfloat16"},
    {"precision": "float16"},
    {"optimizer": "adamw_8bit"},
    {"optimizer": "adamw_8bit", "precision": "float16"},
    {"optimizer_in_backward": True},
    {"optimizer_in_backward": True, "precision": "bfloat16", "weights_dtype": "bfloat16"},
    {"optimizer_in_backward": True, "optimizer": "adamw_8bit"},
]


def parameters(dtype: torch.dtype) -> dict[str, Parameter]:
    made = {f"w{i}": Parameter(torch.full((64, 128), 1.0 + i, dtype=dtype)) for i in range(3)}
    return made | {"bias": Parameter(torch.ones(64, dtype=dtype))}


def stepped(settings: dict[str, Any], make_fail: Callable[[], Callable[[], None]] | None) -> dict[str, Tensor]:
    """The parameters after two steps, the first of which is repeated if it failed."""
    torch.manual_seed(0)
    chosen = plan("full", max_grad_norm=0.0, **settings)
    weights = parameters(torch.bfloat16 if chosen.weights_dtype == "bfloat16" else torch.float32)
    update = updater(weights, Execution(chosen, "cpu"))
    for number in range(2):
        for attempt in (1, 2):
            update.begin(number, 1e-2)
            fix = make_fail() if make_fail and (number, attempt) == (0, 1) else None
            try:
                loss = sum((x.float() ** 2).sum() for x in weights.values()) * 1e-3
                assert isinstance(loss, Tensor)
                update.backward(loss, last=True)
                update.finish()
                assert fix is None, "it was meant to fail"
                break
            except torch.OutOfMemoryError:
                update.abandon()
            finally:
                if fix:
                    fix()
    return {name: x.detach().clone() for name, x in weights.items()}


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("nth", [1, 2, 4, 7])
def test_states_that_could_not_be_made_are_made_again(settings: dict[str, Any], nth: int) -> None:
    eight_bit = settings.get("optimizer") == "adamw_8bit"
    owner, name = (Optimizer8bit, "get_state_buffer") if eight_bit else (torch, "zeros_like")
    real = getattr(owner, name)

    def make_fail() -> Callable[[], None]:
        calls: list[None] = []

        def failing(*arguments: Any, **options: Any) -> Tensor:
            calls.append(None)
            if len(calls) == nth:
                raise OUT
            made: Tensor = real(*arguments, **options)
            return made

        setattr(owner, name, failing)
        return lambda: setattr(owner, name, real)

    again, never = stepped(settings, make_fail), stepped(settings, None)
    for key, value in never.items():
        # in the backward pass the loss of the second try is that of half-updated weights: Adam's first step is the same
        tolerance = 1e-2 if "optimizer_in_backward" in settings or value.dtype == torch.bfloat16 else 0.0
        torch.testing.assert_close(again[key], value, rtol=tolerance, atol=tolerance)


def test_a_step_that_is_given_up_leaves_nothing_for_the_next() -> None:
    weights = parameters(torch.bfloat16)
    chosen = plan("full", max_grad_norm=0.0, precision="bfloat16", weights_dtype="bfloat16", optimizer="adafactor")
    update = updater(weights, Execution(chosen, "cpu"))
    pieces = update._optimizer  # type: ignore[attr-defined]
    assert isinstance(pieces, Piecewise)
    second = pieces._pieces[1]
    real, second.optimizer.step = second.optimizer.step, _out  # type: ignore[method-assign, assignment]
    update.begin(0, 1e-2)
    update.backward(_loss(weights), last=True)
    with pytest.raises(torch.OutOfMemoryError):
        update.finish()
    update.abandon()
    assert second.wide.numel() == 0 and second.wide.grad is None, "nothing wide stays behind"
    second.optimizer.step = real  # type: ignore[method-assign]
    update.begin(0, 1e-2)
    update.backward(_loss(weights) * float("nan"), last=True)
    update.finish()
    first = weights["w0"].detach().clone()
    update.begin(1, 1e-2)
    update.backward(_loss(weights), last=True)
    update.finish()
    assert not torch.equal(weights["w0"], first), "the next step updates all of them"


def test_a_retried_step_counts_each_gradient_once_in_its_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = Parameter(torch.ones(4, 4))
    update = updater({"w": weight}, Execution(plan("full", optimizer_in_backward=True), "cpu"))
    step = optimizers._step
    monkeypatch.setattr(optimizers, "_step", _out)
    update.begin(0, 1e-3)
    with pytest.raises(torch.OutOfMemoryError):
        update.backward(weight.sum(), last=True)
    update.abandon()
    monkeypatch.setattr(optimizers, "_step", step)
    update.begin(0, 1e-3)
    update.backward(weight.sum(), last=True)
    assert float(update.finish()) == pytest.approx(4.0)


def test_what_the_last_micro_batch_does_not_reach_is_updated_too() -> None:
    reached, left = Parameter(torch.ones(4)), Parameter(torch.ones(4))
    update = updater(
        {"a": reached, "b": left}, Execution(plan("full", optimizer_in_backward=True, max_grad_norm=0.0), "cpu")
    )
    assert isinstance(update, InBackward)
    update.begin(0, 1e-1)
    update.backward((reached + left).sum(), last=False)
    update.backward(reached.sum(), last=True)
    assert float(update.finish()) == pytest.approx((4 * 2**2 + 4) ** 0.5)
    assert left.grad is None
    torch.testing.assert_close(left.detach(), reached.detach())
    assert (left < 1).all()


@pytest.mark.parametrize("in_backward", [False, True])
def test_resumed_states_go_back_into_paged_memory(in_backward: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = plan("full", optimizer="paged_adamw_8bit", optimizer_in_backward=in_backward, max_grad_norm=0.0)
    before, after = (updater(parameters(torch.float32), Execution(chosen, "cpu")) for _ in range(2))
    before.begin(0, 1e-2)
    weights = before._parameters  # type: ignore[attr-defined]
    before.backward(_loss(weights if isinstance(weights, dict) else dict(enumerate(weights))), last=True)
    before.finish()
    buffers, real = [], Optimizer8bit.get_state_buffer

    def noted(self: Any, *arguments: Any, **options: Any) -> Tensor:
        buffers.append(real(self, *arguments, **options))
        made: Tensor = buffers[-1]
        return made

    monkeypatch.setattr(Optimizer8bit, "get_state_buffer", noted)
    after.load_state_dict(before.state_dict())
    assert len(buffers) == 2 * 4
    assert any(x.any() for x in buffers), "with what was saved"


def _loss(weights: Any) -> Tensor:
    total = sum((x.float() ** 2).sum() for x in weights.values())
    assert isinstance(total, Tensor)
    return total


def _out(*_: Any, **__: Any) -> None:
    raise OUT
