"""Optimizers, and the two ways to apply one: after the backward pass, or parameter by parameter inside it.

An `Updater` sees one step as: `begin`, `backward` for each micro-batch, `finish`. An update whose gradient norm is not
finite is skipped, which the caller sees from the norm. AdamW decides that on the device; for the others the host
reads the norm, and waits for the device once a step.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from backend.plan.plan import Plan
from backend.training import rng
from backend.training.optim.rounding import Piecewise, given
from backend.training.optim.states import Values, adopt, all_or_none, page_again
from backend.training.parallel.execution import Execution
from backend.training.parallel.spread import Spread, spread
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

    def adopt(self, state: State, values_of: Callable[[str], Values]) -> None:
        """Go on from what another number of ranks has saved.

        `values_of` gives the states of each parameter; `state`, the `state_dict` of one rank, what all had alike.
        """


def updater(parameters: Mapping[str, Parameter], execution: Execution) -> Updater:
    """The plan's updater."""
    plan = execution.plan
    held = spread(parameters, execution.ranks)
    if steps_in_backward(execution):
        return InBackward(held, plan)
    return AfterBackward(held, plan, gradient_scaler(execution.plan, execution.device))


def steps_in_backward(execution: Execution) -> bool:
    """Whether each parameter is stepped within the backward pass.

    float16 needs all gradients at once: its loss scale is found by looking at them. Replicas of adapters sum theirs
    when all are there.
    """
    plan = execution.plan
    is_replicated = plan.method != "full" and execution.ranks.count > 1
    return plan.optimizer_in_backward and plan.precision != "float16" and not is_replicated


def stepper(parameters: Sequence[Parameter], plan: Plan) -> Optimizer | Piecewise:
    """The optimizer of `plan`; 16-bit parameters are stepped in float32 and rounded stochastically.

    AdamW allocates nothing once its states exist. The others do, and go piece by piece: a step that runs out of memory
    can be repeated. A GradScaler (float16) takes a plain optimizer only.
    """
    if plan.precision != "float16" and (
        plan.optimizer != "adamw" or any(p.dtype == torch.bfloat16 for p in parameters)
    ):
        return Piecewise(parameters, partial(build, plan=plan), whole=plan.optimizer == "adafactor")
    return build(parameters, plan)


def build(parameters: Sequence[Parameter], plan: Plan) -> Optimizer:
    """The plain optimizer of `plan`. Weight decay is for matrices, not norms and biases; the rate is set each step."""
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
    return _eight_bit(groups, plan)


def _eight_bit(groups: list[dict[str, Any]], plan: Plan) -> Optimizer:
    """AdamW of bitsandbytes. It waits for the device after each parameter, which only its paged states need."""
    import bitsandbytes

    is_paged = plan.optimizer == "paged_adamw_8bit"
    module: Any = bitsandbytes.optim.optimizer
    module.sync_gpu = bitsandbytes.utils.sync_gpu if is_paged else lambda parameter: None
    kind = bitsandbytes.optim.PagedAdamW8bit if is_paged else bitsandbytes.optim.AdamW8bit
    return _optimizer(kind(groups, lr=plan.learning_rate))


class AfterBackward:
    """The usual loop: gradients of all micro-batches add up, are clipped to their global norm, then applied at once."""

    def __init__(self, held: Spread, plan: Plan, scaler: torch.amp.GradScaler | None) -> None:
        self._spread = held
        self._parameters = list(held.parameters.values())
        self._plan = plan
        self._optimizer = stepper(self._parameters, plan)
        self._max_norm = plan.max_grad_norm
        self._scaler = scaler
        self._step = -1
        self._interrupted = False

    def begin(self, step: int, learning_rate: float) -> None:
        """Set the rate of the step."""
        if self._scaler and self._interrupted:
            self._scaler = self._renewed(self._scaler)
        if step != self._step:
            _begin(self._optimizer)
        self._step = step
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Add the gradients of one micro-batch."""
        (self._scaler.scale(loss) if self._scaler else loss).backward()  # type: ignore[no-untyped-call]

    def finish(self) -> Tensor:
        """Clip and update; the norm before clipping."""
        optimizer, self._interrupted = self._optimizer, True
        self._spread.collect()
        if self._scaler and isinstance(optimizer, Optimizer):
            self._spread.share_overflow()
            self._scaler.unscale_(optimizer)
            norm = self._clipped_norm()
            with all_or_none(optimizer):
                self._scaler.step(optimizer)
            self._scaler.update()
        else:
            norm = self._clipped_norm()
            with self._same_draws():
                _step_if_finite(optimizer, norm, self._plan)
        self._interrupted = False
        self.abandon()
        return norm

    def _same_draws(self) -> AbstractContextManager[None]:
        """Replicas stay the same: stochastic rounding draws the same numbers on every rank."""
        rounds = any(p.dtype == torch.bfloat16 for p in self._parameters)
        is_replicated = self._spread.alike and self._spread.ranks.count > 1
        return rng.shared(self._plan.seed, self._step) if rounds and is_replicated else nullcontext()

    def _renewed(self, scaler: torch.amp.GradScaler) -> torch.amp.GradScaler:
        """A new scaler with the same scale, for a step that is repeated: a scaler unscales only once a step."""
        fresh = gradient_scaler(self._plan, self._parameters[0].device.type)
        assert fresh is not None
        fresh.load_state_dict(scaler.state_dict())
        return fresh

    def _clipped_norm(self) -> Tensor:
        norm = self._spread.norm([p.grad for p in self._parameters if p.grad is not None])
        if self._max_norm:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self._max_norm, norm)
        return norm

    def abandon(self) -> None:
        """Drop the gradients."""
        self._spread.drop()

    def state_dict(self) -> State:
        """Optimizer and loss scale."""
        scaler = self._scaler.state_dict() if self._scaler else {}
        return {"optimizer": self._optimizer.state_dict(), "scaler": scaler}

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        _load(self._optimizer, state["optimizer"])
        if self._scaler:
            self._scaler.load_state_dict(state["scaler"])

    def adopt(self, state: State, values_of: Callable[[str], Values]) -> None:
        """Take over states, and the loss scale."""
        names = {parameter: name for name, parameter in self._spread.parameters.items()}
        _adopt(self._optimizer, lambda parameter: values_of(names[parameter]))
        if self._scaler:
            self._scaler.load_state_dict(state["scaler"])


class InBackward:
    """Each parameter is updated as soon as its gradient is complete, and the gradient dropped: never all at once.

    The global norm is known only at the end, so that clipping uses the norm of the step before. A step that is repeated
    after running out of memory skips what it had updated already: no row counts twice. If a gradient is not finite and
    the loss is, AdamW skips the parameter, and the others take the gradient as zero.
    """

    def __init__(self, held: Spread, plan: Plan) -> None:
        self._spread = held
        self._parameters = held.parameters
        self._plan = plan
        self._optimizers = {name: stepper([p], plan) for name, p in held.parameters.items()}
        self._step = -1
        self._last = False
        self._finite = True
        self._total: Tensor | float = 0.0
        self._squares: dict[str, Tensor] = {}
        """Squared gradient norms of the parameters that this step has updated."""
        self._previous_norm: Tensor | None = None
        own = weakref.proxy(self)  # else parameter, hook and states are a cycle that the collector can't see
        held.on_gradient(partial(InBackward._on_gradient, own))

    def begin(self, step: int, learning_rate: float) -> None:
        """Set the rate; a new step has updated nothing yet."""
        self._total = 0.0
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        if step != self._step:
            self._step, self._squares = step, {}
            for optimizer in self._optimizers.values():
                _begin(optimizer)

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Add gradients; in the last micro-batch, update as they become complete."""
        self._last = last
        self._total = self._total + loss.detach()
        if last and not _decides_on_device(self._plan):
            total = self._spread.ranks.sum(self._total.clone())
            self._finite = bool(torch.isfinite(total))  # once a step: each question waits for the device
        loss.backward()  # type: ignore[no-untyped-call]

    def _on_gradient(self, name: str) -> None:
        if self._last:
            self._apply(name, self._parameters[name])

    def _apply(self, name: str, parameter: Tensor) -> None:
        """Update the parameter with its gradient, at most once a step, and drop the gradient."""
        if parameter.grad is not None and name not in self._squares:
            self._squares[name] = self._update(name, parameter.grad)
        parameter.grad = None

    def _update(self, name: str, gradient: Tensor) -> Tensor:
        """Update one parameter; returns the square of its gradient's norm."""
        norm = torch.linalg.vector_norm(gradient)
        if self._plan.max_grad_norm and self._previous_norm is not None:
            gradient.mul_((self._plan.max_grad_norm / (self._previous_norm + 1e-6)).clamp(max=1.0))
        if _decides_on_device(self._plan):
            _step(self._optimizers[name], norm)
        elif self._finite:
            gradient.nan_to_num_(0.0, 0.0, 0.0)
            _step(self._optimizers[name], norm)
        square: Tensor = norm.float() ** 2
        return square

    def finish(self) -> Tensor:
        """Update what the last micro-batch did not reach; returns the norm of all gradients of the step."""
        self._spread.collect()
        for name, parameter in self._parameters.items():
            self._apply(name, parameter)
        norm = self._spread.norm([square.sqrt() for square in self._squares.values()])
        previous = norm if self._previous_norm is None else self._previous_norm
        self._previous_norm = torch.where(torch.isfinite(norm), norm, previous)
        return norm

    def abandon(self) -> None:
        """Drop the gradients; which parameters are updated stays known."""
        self._spread.drop()

    def state_dict(self) -> State:
        """Every parameter's optimizer, and the norm that the next step clips by."""
        optimizers = {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}
        return {"optimizers": optimizers, "previous_norm": self._previous_norm}

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        for name, optimizer in self._optimizers.items():
            _load(optimizer, state["optimizers"][name])
        self._load_norm(state)

    def adopt(self, state: State, values_of: Callable[[str], Values]) -> None:
        """Take over states, and the norm that the next step clips by."""
        for name, optimizer in self._optimizers.items():
            _adopt(optimizer, partial(given, values_of(name)))
        self._load_norm(state)

    def _load_norm(self, state: State) -> None:
        previous, device = state["previous_norm"], next(iter(self._parameters.values())).device
        self._previous_norm = None if previous is None else previous.to(device)


def _begin(optimizer: Optimizer | Piecewise) -> None:
    """Another step starts."""
    if isinstance(optimizer, Piecewise):
        optimizer.begin()


def _load(optimizer: Optimizer | Piecewise, state: State) -> None:
    optimizer.load_state_dict(state)
    if isinstance(optimizer, Optimizer):
        page_again(optimizer)


def _adopt(optimizer: Optimizer | Piecewise, values_of: Callable[[Parameter], Values]) -> None:
    if isinstance(optimizer, Piecewise):
        optimizer.adopt(values_of)
    else:
        adopt(optimizer, values_of)


def _decides_on_device(plan: Plan) -> bool:
    """The optimizer can skip a step by itself, so that the host need not wait for the gradient's norm."""
    return plan.optimizer == "adamw"


def _step_if_finite(optimizer: Optimizer | Piecewise, norm: Tensor, plan: Plan) -> None:
    """One optimizer step, skipped if `norm` is not finite."""
    if _decides_on_device(plan) or torch.isfinite(norm):
        _step(optimizer, norm)


def _step(optimizer: Optimizer | Piecewise, norm: Tensor) -> None:
    """One step; AdamW skips it if `norm` is not finite."""
    if isinstance(optimizer, Piecewise):
        optimizer.step(partial(_step, norm=norm))
        return
    if isinstance(optimizer, torch.optim.AdamW):  # the fused kernel reads what a GradScaler sets
        optimizer.grad_scale, optimizer.found_inf = None, (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
    with all_or_none(optimizer):
        optimizer.step()


def _optimizer(value: Any) -> Optimizer:
    assert isinstance(value, Optimizer)
    return value
