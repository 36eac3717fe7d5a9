"""`fttui plan --dry-run`: each method's step on fake tensors, next to the memory formula. Loads torch."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from types import ModuleType

from backend import units
from backend.answers import METHODS, Method
from backend.errors import UserError
from backend.planner import memory, throughput
from backend.planner.estimates import Comparison
from backend.planner.memory.sharded import is_sharded
from backend.planner.rules import title

LABEL, COLUMN, WIDTH = 14, 19, 72
_JSON_NAMES = {"formula_bytes": "closed_form_bytes", "peak_point": "moment", "by_peak_point": "by_moment"}
"""Keys that JSON output keeps although the code has better names."""
CATEGORIES = ("weights", "adapters", "optimizer", "gradients", "activations", "logits")
_ABOUT = (
    "The trainer's own step, run on tensors without values at two depths and extrapolated to all layers: the memory "
    "that torch would allocate at the peak of a step, on one device. A card must have more, as "
    "in the comparison: the allocator's unused blocks, the CUDA context, and room for phases with a higher peak."
)


@dataclass(frozen=True)
class Checked:
    """One method's step: bytes allocated in the dry run, and by the formula."""

    peak_allocated_bytes: int
    formula_bytes: int
    peak_point: str
    """The part of the step with the peak: forward, loss, top, blocks, bottom, embedding or optimizer."""
    by_category: Mapping[str, int]
    by_peak_point: Mapping[str, int]
    seconds: float
    peak_bytes: int = 0
    """Memory that each device needs in the run, as in the comparison: sharded, with slack and context."""
    devices: int = 1
    """Devices that the run is planned for; the dry run runs the whole step on one."""
    is_sharded: bool = False
    """Each device holds only a part of the step."""

    @property
    def difference(self) -> float:
        """How far the formula is from the dry run, as a fraction of the dry run."""
        return self.formula_bytes / self.peak_allocated_bytes - 1


def checked(comparison: Comparison, tell: Callable[[str], None] = lambda text: None) -> dict[Method, Checked]:
    """All three methods, as they are planned; `tell` is called with a sentence before each one.

    Raises UserError if the model can't be run on fake tensors.
    """
    objective = next(iter(comparison.methods.values())).plan.objective
    if objective != "sft":
        raise UserError(f"a dry run doesn't support objective {objective} yet; leave out --dry-run", "dry_run")
    found: dict[Method, Checked] = {}
    for number, method in enumerate(METHODS, 1):
        tell(f"the step of {title(method)} on tensors without values, {number} of {len(METHODS)}")
        found[method] = _checked(comparison, method)
    return found


def _checked(comparison: Comparison, method: Method) -> Checked:
    run = _runner()
    model, plan = comparison.model, comparison.methods[method].plan
    load = throughput.work(plan, comparison.data)
    found = run.measure(model, plan, load.length, load.scored)
    by_formula = memory.step_peak(model.shape, plan, load.length, load.scored)
    return Checked(
        peak_allocated_bytes=found.peak_bytes,
        formula_bytes=max(by_formula.values()),
        peak_point=found.stage,
        by_category=found.by_category,
        by_peak_point={name: sum(parts.values()) for name, parts in found.by_stage.items()},
        seconds=found.seconds,
        peak_bytes=comparison.methods[method].memory.peak_bytes,
        devices=plan.processes,
        is_sharded=is_sharded(plan),
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
    yield _row("formula", [f"{units.memory(x.formula_bytes)}, {_signed(x.difference)}" for x in seen])
    yield _row("peak at", [x.peak_point for x in seen])
    for name in CATEGORIES:
        yield _row(f"  {name}", [units.memory(x.by_category[name]) if name in x.by_category else "-" for x in seen])
    count = max(x.devices for x in seen)
    yield _row(f"each of {count}" if count > 1 else "on the card", [units.memory(x.peak_bytes) for x in seen])
    yield _row("took", [f"{x.seconds:.1f} s" for x in seen])
    yield ""
    yield from textwrap.wrap(" ".join([_ABOUT, *_sharded(found)]), WIDTH)


def _sharded(found: Mapping[Method, Checked]) -> Iterator[str]:
    """Why the dry run of a sharded method is above the comparison's figure."""
    for method, one in found.items():
        if one.is_sharded:
            yield (
                f"{title(method)} is sharded over {one.devices} devices in the run: each holds its part, which is the "
                "comparison's figure; the dry run runs the whole step on one."
            )


def _signed(part: float) -> str:
    """`+1.2%`; a difference that rounds to zero is `+0.0%`."""
    return f"{round(part, 3) + 0.0:+.1%}"


def _row(label: str, cells: list[str]) -> str:
    return f"{label:{LABEL}}" + "".join(f"{cell:{COLUMN}}" for cell in cells).rstrip()


def as_object(found: Mapping[Method, Checked]) -> dict[str, object]:
    """The figures as `dry_run` of `plan --json`, by method."""
    return {
        method: {_JSON_NAMES.get(name, name): value for name, value in asdict(one).items()}
        | {"difference": one.difference}
        for method, one in found.items()
    }
