"""Optimizers, and the two ways to apply one: after the backward pass, or parameter by parameter inside it.

An `Updater` sees one step as: `begin`, `backward` for each micro-batch, `finish`. An update whose gradient norm is not
finite is skipped; whoever reads the norm afterwards sees that it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from backend.planner.plan import Plan
from backend.training.precision import gradient_scaler

State = dict[str, Any]


class Updater(Protocol):
    """Applies the gradients of one step."""

    def begin(self, step: int, learning_rate: float) -> None:
        """A step starts (or starts again after running out of memory)."""

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Backward pass of one micro-batch; `last` of its step."""

    def finish(self) -> Tensor:
        """Update the parameters. The gradient norm before clipping, on the device; not finite: nothing was updated."""

    def abandon(self) -> None:
        """Forget the gradients of a step that can't be finished."""

    def state_dict(self) -> State:
        """Everything that the next step depends on."""

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""


def updater(parameters: Mapping[str, Parameter], plan: Plan, device: str) -> Updater:
    """The updater of `plan`. float16 needs the gradients whole (its loss scale is found by looking at them)."""
    if plan.optimizer_in_backward and plan.precision != "float16":
        return InBackward(parameters, plan)
    return AfterBackward(parameters, plan, gradient_scaler(plan, device))


def build(parameters: Sequence[Parameter], plan: Plan) -> Optimizer:
    """The optimizer of `plan`. Matrices decay, vectors (norms, biases) don't; the rate is set step by step."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=plan.learning_rate, fused=True)
    if plan.optimizer == "adafactor":
        from transformers.optimization import Adafactor

        return _optimizer(
            Adafactor(groups, lr=plan.learning_rate, scale_parameter=False, relative_step=False, warmup_init=False)
        )
    import bitsandbytes

    kind = bitsandbytes.optim.PagedAdamW8bit if plan.optimizer == "paged_adamw_8bit" else bitsandbytes.optim.AdamW8bit
    return _optimizer(kind(groups, lr=plan.learning_rate))


class AfterBackward:
    """The usual loop: gradients of all micro-batches add up, are clipped to their global norm, then applied at once."""

    def __init__(self, parameters: Mapping[str, Parameter], plan: Plan, scaler: torch.amp.GradScaler | None) -> None:
        self._parameters = list(parameters.values())
        self._optimizer = build(self._parameters, plan)
        self._max_norm = plan.max_grad_norm
        self._scaler = scaler

    def begin(self, step: int, learning_rate: float) -> None:
        """Set the rate of the step."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Add the gradients of one micro-batch."""
        (self._scaler.scale(loss) if self._scaler else loss).backward()  # type: ignore[no-untyped-call]

    def finish(self) -> Tensor:
        """Clip and update; the norm before clipping."""
        if self._scaler:
            self._scaler.unscale_(self._optimizer)
        norm = self._clipped_norm()
        if self._scaler:
            self._scaler.step(self._optimizer)
            self._scaler.update()
        else:
            _step_if_finite(self._optimizer, norm)
        self.abandon()
        return norm

    def _clipped_norm(self) -> Tensor:
        norm = torch.nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        if self._max_norm:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self._max_norm, norm)
        return norm

    def abandon(self) -> None:
        """Drop the gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> State:
        """Optimizer and loss scale."""
        scaler = self._scaler.state_dict() if self._scaler else {}
        return {"optimizer": self._optimizer.state_dict(), "scaler": scaler}

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        self._optimizer.load_state_dict(state["optimizer"])
        if self._scaler:
            self._scaler.load_state_dict(state["scaler"])


class InBackward:
    """Each parameter is updated as soon as its gradient is complete, and the gradient dropped: never all at once.

    The global norm is known only when all is over, so that clipping goes by the norm of the step before. A step that
    starts again after running out of memory leaves alone what it had updated already: no row counts twice.
    """

    def __init__(self, parameters: Mapping[str, Parameter], plan: Plan) -> None:
        self._parameters = parameters
        self._optimizers = {name: build([p], plan) for name, p in parameters.items()}
        self._max_norm = plan.max_grad_norm
        self._step = -1
        self._last = False
        self._updated: set[str] = set()
        self._squares: list[Tensor] = []
        self._previous_norm: Tensor | None = None
        for name, parameter in parameters.items():
            parameter.register_post_accumulate_grad_hook(partial(self._on_gradient, name))  # type: ignore[no-untyped-call]

    def begin(self, step: int, learning_rate: float) -> None:
        """Set the rate, and forget what the step before updated."""
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        if step != self._step:
            self._step, self._updated, self._squares = step, set(), []

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Add gradients; in the last micro-batch, update as they become complete."""
        self._last = last
        loss.backward()  # type: ignore[no-untyped-call]

    def _on_gradient(self, name: str, parameter: Tensor) -> None:
        gradient = parameter.grad
        if not self._last or gradient is None:
            return
        if name not in self._updated:
            norm = torch.linalg.vector_norm(gradient)
            self._squares.append(norm.float() ** 2)
            if self._max_norm and self._previous_norm is not None:
                gradient.mul_((self._max_norm / (self._previous_norm + 1e-6)).clamp(max=1.0))
            _step_if_finite(self._optimizers[name], norm)
            self._updated.add(name)
        parameter.grad = None

    def finish(self) -> Tensor:
        """The norm of all gradients of the step; the updates are made already."""
        norm = torch.stack(self._squares).sum().sqrt()
        previous = norm if self._previous_norm is None else self._previous_norm
        self._previous_norm = torch.where(torch.isfinite(norm), norm, previous)
        return norm

    def abandon(self) -> None:
        """Drop the gradients; what was updated stays noted."""
        for parameter in self._parameters.values():
            parameter.grad = None

    def state_dict(self) -> State:
        """Every parameter's optimizer, and the norm that the next step clips by."""
        optimizers = {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}
        return {"optimizers": optimizers, "previous_norm": self._previous_norm}

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        previous, device = state["previous_norm"], next(iter(self._parameters.values())).device
        self._previous_norm = None if previous is None else previous.to(device)


def _step_if_finite(optimizer: Optimizer, norm: Tensor) -> None:
    """One optimizer step, skipped where `norm` is not finite; decided on the device where the optimizer can."""
    if isinstance(optimizer, torch.optim.AdamW):  # fused: it reads what a GradScaler would tell it
        optimizer.grad_scale, optimizer.found_inf = None, (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        optimizer.step()
    elif torch.isfinite(norm):
        optimizer.step()


def _optimizer(value: Any) -> Optimizer:
    assert isinstance(value, Optimizer)
    return value
