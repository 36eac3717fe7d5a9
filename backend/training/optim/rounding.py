"""Training 16-bit weights: each update is made in float32 and rounded back stochastically.

A bfloat16 weight has 8 significant bits, so that an update under 1/512 of it is lost when rounded to nearest, and at
the rates of full fine-tuning most are. With stochastic rounding, up with a probability of how far the value is above
its lower neighbour, every update counts on average (Zamirai et al., "Revisiting BFloat16 Training", 2010.06192). No
float32 copy of the weights is kept: one piece of them at a time is widened, stepped and rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from backend.training.optim.states import Values, adopt, page_again, widened

PIECE = 1 << 24
"""Elements that are widened at once: 64 MiB of values and 64 MiB of gradients, or afterwards of random bits."""
LOW_BITS = 16
"""Bits of a float32 that a bfloat16 does not have."""

Build = Callable[[Sequence[Parameter]], Optimizer]
Step = Callable[[Optimizer], None]


@dataclass(frozen=True)
class _Piece:
    """Some rows of a parameter, and the optimizer that holds their states in float32."""

    parameter: Parameter
    rows: slice | EllipsisType
    wide: Parameter
    """Holds the rows in float32 while they are stepped; empty otherwise."""
    optimizer: Optimizer


class Piecewise:
    """A float32 optimizer for each piece, made by `build`: 16-bit pieces are widened for their step and rounded.

    A step that is repeated after running out of memory skips the pieces that it had updated: no row counts twice.
    """

    def __init__(self, parameters: Sequence[Parameter], build: Build, *, whole: bool) -> None:
        """16-bit parameters are cut into pieces of at most PIECE elements.

        `whole`: nothing is cut, for an optimizer whose update of an element depends on its neighbours.
        """
        self._pieces = [piece for p in parameters for piece in _pieces(p, build, whole=whole)]
        self._parameters = list(parameters)
        self._done = 0
        """Pieces of this step that are updated."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The settings of every piece, to set the rate in."""
        return [group for piece in self._pieces for group in piece.optimizer.param_groups]

    def begin(self) -> None:
        """Another step starts: nothing of it is updated yet."""
        self._done = 0

    def step(self, apply: Step) -> None:
        """Update what has a gradient; `apply` steps one piece's optimizer, or skips it."""
        for piece in self._pieces[self._done :]:
            self._step_piece(piece, apply)
            self._done += 1

    def _step_piece(self, piece: _Piece, apply: Step) -> None:
        gradient = piece.parameter.grad
        if gradient is None:
            return
        narrow = piece.parameter.data[piece.rows]
        try:
            piece.wide.data = narrow.float()
            piece.wide.grad = gradient[piece.rows].float()
            apply(piece.optimizer)
            piece.wide.grad = None  # before the random bits take as much
            if narrow.dtype == torch.bfloat16:
                round_stochastically(piece.wide.data, narrow)
        finally:
            piece.wide.grad, piece.wide.data = None, _empty(piece.parameter)

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        assert set_to_none
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Every piece's states, in the parameters' order."""
        return {"pieces": [piece.optimizer.state_dict() for piece in self._pieces]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for piece, saved in zip(self._pieces, state["pieces"], strict=True):
            piece.wide.data = piece.parameter.data[piece.rows].float()  # states are checked against its shape
            piece.optimizer.load_state_dict(saved)
            page_again(piece.optimizer)
            piece.wide.data = _empty(piece.parameter)

    def adopt(self, values_of: Callable[[Parameter], Values]) -> None:
        """Take over states with the values that whole parameters have."""
        for piece in self._pieces:
            values = _of_rows(values_of(piece.parameter), piece.rows)
            piece.wide.data = piece.parameter.data[piece.rows].float()
            adopt(piece.optimizer, partial(given, values))
            piece.wide.data = _empty(piece.parameter)


def together(saved: Sequence[Mapping[str, Any]]) -> Values:
    """The values of a parameter from the saved states of its pieces, in order."""
    return in_order([widened(one) for one in saved])


def in_order(parts: Sequence[Values]) -> Values:
    """The values of a parameter from those of its rows, in order; empty if any part has none."""
    return {name: _joined([part[name] for part in parts]) for name in parts[0]} if parts and all(parts) else {}


def pieces(parameter: Parameter) -> int:
    """How many pieces a parameter is cut into."""
    return len(_cuts(parameter, whole=False))


def given(values: Values, parameter: Tensor) -> Values:
    """`values`, for every parameter: partial(given, values) is a `values_of`."""
    return values


def _of_rows(values: Values, rows: slice | EllipsisType) -> Values:
    return {name: x[rows] if isinstance(x, Tensor) and x.ndim else x for name, x in values.items()}


def _joined(parts: Sequence[Any]) -> Any:
    return torch.cat(list(parts)) if isinstance(parts[0], Tensor) and parts[0].ndim else parts[0]


def round_stochastically(values: Tensor, into: Tensor) -> None:
    """Write float32 `values` into bfloat16 `into`, each as one of its two neighbours; `values` is used up.

    Random bits are added below the last bit that stays, then the bits below it are cut. A value that bfloat16 can
    represent stays as it is. The bits come from torch's generator of the device, which checkpoints save.
    """
    bits = values.view(torch.int32)
    bits.add_(torch.empty_like(bits).random_(1 << LOW_BITS)).bitwise_and_(-1 << LOW_BITS)
    into.copy_(values)


def _pieces(parameter: Parameter, build: Build, *, whole: bool) -> Iterator[_Piece]:
    for rows in _cuts(parameter, whole=whole):
        wide = Parameter(_empty(parameter))
        yield _Piece(parameter, rows, wide, build([wide]))


def _cuts(parameter: Parameter, *, whole: bool) -> list[slice | EllipsisType]:
    if whole or parameter.dtype == torch.float32 or parameter.numel() <= PIECE:
        return [...]
    rows = len(parameter)
    each = max(1, PIECE * rows // parameter.numel())
    return [slice(start, start + each) for start in range(0, rows, each)]


def _empty(parameter: Parameter) -> Tensor:
    """An empty tensor with as many dimensions: matrices and vectors have different weight decay."""
    return torch.empty((0,) * parameter.ndim, dtype=torch.float32, device=parameter.device)
