"""How trained parameters are spread over the ranks: on a single one, replicated on each, or sharded.

An optimizer always steps what its own rank holds: a whole replica, or a shard. Gradients are summed, never averaged:
the loss has been divided by the target tokens of all ranks together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Parameter

from backend import constants
from backend.training.parallel.ranks import Ranks

OnGradient = Callable[[str], None]


class Spread(Protocol):
    """Parameters over ranks."""

    ranks: Ranks
    alike: bool
    """Every rank steps the same values."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What this rank steps, by name."""

    def collect(self) -> None:
        """After the last backward pass: put the gradients of all ranks' rows into the `grad` of `parameters`."""

    def drop(self) -> None:
        """Forget the gradients."""

    def on_gradient(self, action: OnGradient) -> None:
        """Call `action` with a parameter's name when its gradient is complete and in its `grad`."""

    def share_overflow(self) -> None:
        """If a gradient of any rank is not finite, make one of each rank so: a GradScaler only sees its own."""

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        """The norm of the gradients of all ranks; `gradients` are those of this rank."""


def spread(parameters: Mapping[str, Parameter], ranks: Ranks) -> Spread:
    """Sharded if the model was sharded (parallel/sharding.py), replicated if there are other ranks, else single."""
    if any(isinstance(p, DTensor) for p in parameters.values()):
        return Sharded(parameters, ranks)
    return Replicated(parameters, ranks) if ranks.count > 1 else Single(parameters, ranks)


class Single:
    """One rank has all of them."""

    alike = True

    def __init__(self, parameters: Mapping[str, Parameter], ranks: Ranks) -> None:
        self.parameters: Mapping[str, Parameter] = parameters
        self.ranks = ranks

    def collect(self) -> None:
        """They are there already."""

    def drop(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def on_gradient(self, action: OnGradient) -> None:
        """Register autograd's own hook."""
        for name, parameter in self.parameters.items():
            parameter.register_post_accumulate_grad_hook(_calling(action, name))  # type: ignore[no-untyped-call]

    def share_overflow(self) -> None:
        """Nothing to do: every rank has all gradients."""

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        """No other rank has any."""
        return torch.nn.utils.get_total_norm(gradients)


class Replicated(Single):
    """A replica on each rank: gradients are summed bucket by bucket, and every rank makes the same update.

    DistributedDataParallel would send as little (with `no_sync` it sends once a step, too), but it averages, counts on
    its own forward pass, which the chunked loss does not run, and it has to search each pass's autograd graph for
    parameters that the rows don't reach. What it would gain, sending during the last backward pass, is little for
    adapters.
    """

    def __init__(self, parameters: Mapping[str, Parameter], ranks: Ranks) -> None:
        super().__init__(parameters, ranks)
        for parameter in parameters.values():
            torch.distributed.broadcast(parameter.data, src=0)

    def collect(self) -> None:
        """Sum them; a parameter that no rank's rows have reached has no gradient, as on one device."""
        mine = [parameter.grad is not None for parameter in self.parameters.values()]
        reached = [any(flags) for flags in zip(*self.ranks.all_of(mine), strict=True)]
        there = [p for p, is_there in zip(self.parameters.values(), reached, strict=True) if is_there]
        for bucket in _buckets(there):
            flat = torch.cat([_gradient(p).flatten() for p in bucket])
            parts = torch.split(self.ranks.sum(flat), [p.numel() for p in bucket])
            for parameter, part in zip(bucket, parts, strict=True):
                parameter.grad = part.view_as(parameter).clone()


class Sharded:
    """A shard on each rank: FSDP2 sums and scatters the gradients within the backward pass."""

    alike = False

    def __init__(self, parameters: Mapping[str, Parameter], ranks: Ranks) -> None:
        self.ranks = ranks
        self._wholes = parameters
        shards = {name: Parameter(_local(p.data)) for name, p in parameters.items()}
        self.parameters: Mapping[str, Parameter] = {name: shard for name, shard in shards.items() if shard.numel()}

    def collect(self) -> None:
        """Move the gradients' shards to the parameters that are stepped."""
        for name in self._wholes:
            self._move_gradient(name)

    def drop(self) -> None:
        """Forget the gradients, those that are not moved yet too."""
        for parameter in (*self._wholes.values(), *self.parameters.values()):
            parameter.grad = None

    def on_gradient(self, action: OnGradient) -> None:
        """FSDP2 calls the hooks once a gradient is summed."""
        for name, parameter in self._wholes.items():
            parameter.register_post_accumulate_grad_hook(_calling(self._then(action), name))  # type: ignore[no-untyped-call]

    def _then(self, action: OnGradient) -> OnGradient:
        def handed(name: str) -> None:
            if self._move_gradient(name):
                action(name)

        return handed

    def _move_gradient(self, name: str) -> bool:
        """Move a gradient's shard to its parameter; False if this rank has none."""
        whole, shard = self._wholes[name], self.parameters.get(name)
        if whole.grad is not None and shard is not None:
            part = _local(whole.grad)
            shard.grad = part if shard.grad is None else shard.grad.add_(part)
        whole.grad = None
        return shard is not None and shard.grad is not None

    def share_overflow(self) -> None:
        """Add 0 to the smallest gradient, or NaN if the norm over all ranks is not finite."""
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = self.norm(gradients)
        if gradients:
            min(gradients, key=torch.numel).add_(norm - norm)

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        """The root of the sum of the ranks' squares."""
        own = torch.nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
        device = next(iter(self._wholes.values())).device
        return self.ranks.sum(own.to(device).float() ** 2).sqrt()


def _calling(action: OnGradient, name: str) -> Callable[[Tensor], None]:
    return lambda parameter: action(name)


def _local(value: Tensor) -> Tensor:
    assert isinstance(value, DTensor)
    local: Tensor = value.to_local()
    return local


def _gradient(parameter: Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _buckets(parameters: Sequence[Parameter]) -> Iterator[list[Parameter]]:
    """Parameters of one type up to the bucket size that memory is planned for (presets/memory.toml)."""
    most = constants.memory().several.bucket
    bucket: list[Parameter] = []
    for parameter in parameters:
        together = [*bucket, parameter]
        if bucket and (sum(x.nbytes for x in together) > most or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket
