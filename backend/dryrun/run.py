"""Run the trainer's own step on fake tensors at two small depths, and extrapolate to the model's depth.

Nothing here repeats what the trainer does: the model, its adapters, the loss, the optimizer and the step are the
trainer's. A step is cut into stages whose peaks are each linear in the number of blocks: the forward pass, the loss's
gradient, the last block's backward pass, the first one's, the embedding's, the update.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Module

from backend.dryrun.meter import Meter
from backend.dryrun.model import build, config, shortened, swap_for_fakes
from backend.model.info import ModelInfo
from backend.plan.plan import Plan
from backend.training import loss
from backend.training.batches import Batch
from backend.training.network import Network
from backend.training.optim import optimizers
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.step import forward_backward

DEVICE = "cpu"
"""Device of the fake tensors: a torch without CUDA has no other, and sizes are the same."""


@dataclass(frozen=True)
class DryRun:
    """Peaks in bytes that torch's allocator hands out on one device."""

    by_stage: Mapping[str, Mapping[str, int]]
    """forward, loss, top, blocks, bottom, embedding, optimizer, eval -> category -> bytes at that stage's peak."""
    depths: tuple[int, int]
    """Blocks of the two models that were run."""
    seconds: float

    @property
    def stage(self) -> str:
        """The stage with the highest peak."""
        return max(self.by_stage, key=lambda name: sum(self.by_stage[name].values()))

    @property
    def by_category(self) -> Mapping[str, int]:
        """Bytes at the peak: weights, adapters, gradients, optimizer, logits, activations."""
        return self.by_stage[self.stage]

    @property
    def peak_bytes(self) -> int:
        """The step's peak."""
        return sum(self.by_category.values())


def measure(model: ModelInfo, plan: Plan, length: int, scored: int) -> DryRun:
    """The peak of one step of `plan` with sequences of `length` tokens, `scored` of them in the loss.

    Takes seconds, whatever the model's size. Raises UserError if a dry run of the model is not possible.
    """
    began = time.perf_counter()
    settings = config(model)
    depths = _depths(settings)
    added = model.shape.added_tokens
    small, large = (
        _stages(shortened(settings, depth), plan, model.reference, length, scored, added) for depth in depths
    )
    by_stage = {name: _line(small[name], large[name], depths, model.shape.layers) for name in small}
    return DryRun(by_stage, depths, time.perf_counter() - began)


def _line(small: Counter[str], large: Counter[str], depths: tuple[int, int], layers: int) -> dict[str, int]:
    share = (layers - depths[0]) / (depths[1] - depths[0])
    sizes = {name: round(small[name] + (large[name] - small[name]) * share) for name in small | large}
    return {name: size for name, size in sizes.items() if size}


def _depths(settings: Any) -> tuple[int, int]:
    """One and two periods of the pattern of blocks (full and sliding attention), 3 and 4 if they are all alike."""
    kinds = list(getattr(settings, "layer_types", None) or ["full"])
    period = next(n for n in range(1, len(kinds) + 1) if kinds[n:] == kinds[:-n])
    first = period * math.ceil(3 / period)
    return first, first + period


def _stages(
    settings: Any, plan: Plan, name: str, length: int, scored: int, added_tokens: int = 0
) -> Mapping[str, Counter[str]]:
    execution = Execution(plan, DEVICE)
    with _quietly():
        network = build(settings, plan, name, added_tokens)
    with _quietly(), FakeTensorMode(allow_non_fake_inputs=True):
        swap_for_fakes(network, DEVICE)
        meter = Meter(network, settings.vocab_size)
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        with meter:
            updater = optimizers.updater(trained, execution)
        loss_of = loss.chunked(network) if plan.chunked_loss else loss.whole(network)
        batch = _batch(plan, length, scored)
        _announce_stages(network, meter)
        for step in range(2):  # the second has optimizer states
            meter.forget()
            with meter:
                meter.stage("forward")
                updater.begin(step, plan.learning_rate)
                forward_backward(loss_of, [batch], _Announcing(updater, meter), execution)
                meter.stage("optimizer")
                updater.finish()
                meter.label(_tensors(updater.state_dict()), "optimizer")
        network.eval()
        with torch.no_grad(), autocast(execution.plan, execution.device), meter:
            meter.stage("eval")
            loss_of(batch)
    return meter.peaks


def _batch(plan: Plan, length: int, scored: int) -> Batch:
    """A batch of full rows; flat if the plan's attention takes rows by their bounds."""
    if plan.attention == "varlen":
        return _flat_batch(plan.micro_batch, length, min(scored, length))
    ids = torch.zeros(plan.micro_batch, length, dtype=torch.long)
    positions = torch.arange(length).expand(plan.micro_batch, length)
    targets = torch.zeros(plan.micro_batch, min(scored, length), dtype=torch.long)
    return Batch(ids, positions, targets.clone(), targets, ids.numel(), targets.numel(), plan.packing)


def _flat_batch(rows: int, length: int, scored: int) -> Batch:
    bounds = tuple(range(0, rows * length + 1, length))
    targets = torch.zeros(1, rows * scored, dtype=torch.long)
    return Batch(
        input_ids=torch.zeros(1, rows * length, dtype=torch.long),
        position_ids=torch.arange(length).repeat(rows)[None],
        predict=targets.clone(),
        targets=targets,
        tokens=rows * length,
        scored=rows * scored,
        packed=rows > 1,
        starts=torch.tensor(bounds, dtype=torch.int32),
        bounds=bounds,
        longest=length,
    )


class _Announcing:
    """The plan's updater; it tells the meter when the backward pass begins."""

    def __init__(self, updater: optimizers.Updater, meter: Meter) -> None:
        self._updater, self._meter = updater, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._updater, name)

    def backward(self, value: Tensor, *, last: bool) -> None:
        """The backward pass; until it reaches the last block it is the loss's stage."""
        self._meter.stage("loss")
        self._updater.backward(value, last=last)


def _announce_stages(network: Network, meter: Meter) -> None:
    """A stage begins when the gradient of a module's output is computed."""
    blocks = network.get_decoder().layers
    names = {blocks[-1]: "top", blocks[-2]: "blocks", blocks[0]: "bottom", network.get_input_embeddings(): "embedding"}
    for module, name in names.items():
        module.register_forward_hook(_announcer(name, meter))


def _announcer(name: str, meter: Meter) -> Callable[[Module, Any, Any], None]:
    def hook(module: Module, inputs: Any, output: Any) -> None:
        hidden = output if isinstance(output, Tensor) else output[0]
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: meter.stage(name))

    return hook


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the libraries' warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested containers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
