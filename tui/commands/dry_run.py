"""`fttui plan --dry-run`: each method's step under fake tensors, beside the closed form. This one loads torch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

from backend import units
from backend.answers import METHODS, Method
from backend.errors import UserError
from backend.planner import memory, throughput
from backend.planner.estimates import Comparison
from backend.planner.rules import title

LABEL, COLUMN, WIDTH = 14, 19, 72
CATEGORIES = ("weights", "adapters", "optimizer", "gradients", "activations", "logits")
_ABOUT = (
    "The trainer's own step, run without values at two depths and drawn out to the model's own: what torch would hand "
    "out at the peak of a step, on one device. The card must have the slack of its allocator and its context as well."
)


@dataclass(frozen=True)
class Checked:
    """One method's step: what the dry run found, and what the closed form says; allocated bytes."""

    peak_allocated_bytes: int
    closed_form_bytes: int
    moment: str
    """forward, loss, top, blocks, bottom, embedding or optimizer."""
    by_category: Mapping[str, int]
    by_moment: Mapping[str, int]
    seconds: float

    @property
    def difference(self) -> float:
        """Of the closed form, as a share of the dry run."""
        return self.closed_form_bytes / self.peak_allocated_bytes - 1


def checked(comparison: Comparison) -> dict[Method, Checked]:
    """All three methods, as they are planned. Raises UserError where the model can't be run so."""
    return {method: _checked(comparison, method) for method in METHODS}


def _checked(comparison: Comparison, method: Method) -> Checked:
    run = _runner()
    model, plan = comparison.model, comparison.methods[method].plan
    load = throughput.work(plan, comparison.data)
    found = run.measure(model, plan, load.length, load.scored)
    closed = memory.step_peak(model.shape, plan, load.length, load.scored)
    return Checked(
        peak_allocated_bytes=found.peak_bytes,
        closed_form_bytes=max(closed.values()),
        moment=found.stage,
        by_category=found.by_category,
        by_moment={name: sum(parts.values()) for name, parts in found.by_stage.items()},
        seconds=found.seconds,
    )


def _runner() -> ModuleType:
    """The dry run. Raises UserError if torch can't be imported."""
    try:
        from backend.dryrun import run
    except ImportError as error:
        from backend.training.failure import not_importable

        raise UserError(not_importable(error), "dry_run") from None
    return run


def table(found: Mapping[Method, Checked]) -> str:
    """Three columns, at most 72 wide."""
    return "\n".join(_lines(found))


def _lines(found: Mapping[Method, Checked]) -> Iterator[str]:
    yield _row("dry run", [title(method) for method in METHODS])
    seen = [found[method] for method in METHODS]
    yield _row("step's peak", [units.memory(x.peak_allocated_bytes) for x in seen])
    yield _row("closed form", [f"{units.memory(x.closed_form_bytes)}, {_signed(x.difference)}" for x in seen])
    yield _row("highest at", [x.moment for x in seen])
    for name in CATEGORIES:
        yield _row(f"  {name}", [units.memory(x.by_category[name]) if name in x.by_category else "-" for x in seen])
    yield _row("took", [f"{x.seconds:.1f} s" for x in seen])
    yield ""
    yield from textwrap.wrap(_ABOUT, WIDTH)


def _signed(part: float) -> str:
    """`+1.2%`; nothing is neither more nor less."""
    return f"{round(part, 3) + 0.0:+.1%}"


def _row(label: str, cells: list[str]) -> str:
    return f"{label:{LABEL}}" + "".join(f"{cell:{COLUMN}}" for cell in cells).rstrip()


def as_object(found: Mapping[Method, Checked]) -> dict[str, Any]:
    """The figures as `dry_run` of `plan --json`, by method."""
    return {method: asdict(one) | {"difference": one.difference} for method, one in found.items()}
