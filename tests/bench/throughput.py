"""The time estimate against published runs: `python -m tests.bench.throughput [--all] [--fit]`. Pure arithmetic.

Each run is estimated by the planner's own functions with the run's own settings. The constants in
presets/throughput.toml were fitted on the runs of one half of the models; the error on the other half shows how good
they are.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

from msgspec import structs

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner import throughput
from backend.planner.device import Device
from backend.planner.estimates import Interval
from backend.planner.gpu_time import Kernels
from backend.planner.throughput import Work
from tests.bench import published
from tests.bench.published import Run

SINGLE_DENSE = (
    *("fms-2024", "fms-liger", "peft", "torchtune-3b", "qwen", "llama-factory"),
    *("fitcheck-t4-torch2.10", "fitcheck-t4-torch2.14"),
)
"""Sources of the runs that predictions are compared with first: one GPU, dense, complete settings."""

FIRST_READ = "2026-11-24"
"""Runs read after this date were added when the estimate had already been fitted: new cards, models under 2B."""


@dataclass(frozen=True)
class Case:
    """One published run as the planner sees it."""

    run: Run
    shape: ModelShape
    plan: Plan
    device: Device
    load: Work


@dataclass(frozen=True)
class Result:
    """What was published and what is estimated, tokens per second and GPU."""

    run: Run
    published: float
    predicted: Interval
    """`low` is the slowest."""

    @property
    def ratio(self) -> float:
        """Estimated over published."""
        return self.predicted.point / self.published

    @property
    def error(self) -> float:
        """The error, symmetric: the same for twice as fast as for half as fast."""
        return max(self.ratio, 1 / self.ratio) - 1

    @property
    def inside(self) -> bool:
        """Whether the interval holds the published value."""
        return self.predicted.low <= self.published <= self.predicted.high


def complete(run: Run) -> bool:
    """Whether its speed and the settings that it depends on are given, and the estimate has a term for each of them."""
    return run.tokens_per_second is not None and run.checkpointing is not None and run.unlike is None


@cache
def cases() -> tuple[Case, ...]:
    """The complete runs."""
    return tuple(_case(run) for run in published.runs() if complete(run))


def _case(run: Run) -> Case:
    plan = plan_of(run)
    row = run.row_tokens or run.length
    load = Work(  # the lengths of padded rows are not given: padding is not counted
        step_tokens=row * plan.effective_batch,
        length=run.length,
        scored=run.length,
        held_out_tokens=0,
        attended=row,
    )
    return Case(run, published.shape(run.model), plan, published.device(run), load)


def plan_of(run: Run) -> Plan:
    """A run's settings as a plan."""
    own: dict[str, Any] = {"rank": run.rank} if run.rank else {}
    if run.adapter_targets and not run.model.startswith(
        "Qwen/Qwen-"
    ):  # that one's names differ; all its linears carry adapters
        own["target_modules"] = run.adapter_targets
    return Plan(
        method=run.method,
        quantization="none" if run.quantization == "none" else "nf4",
        precision="float16" if run.precision.startswith("float16") else "bfloat16",
        weights_dtype="float32" if run.precision == "float32-amp" else "bfloat16",
        max_length=run.length,
        packing=run.packed,
        micro_batch=run.micro_batch,
        effective_batch=run.micro_batch * (run.accumulation or 1) * run.gpus,
        checkpointing=bool(run.checkpointing),
        chunked_loss=bool(run.chunked_loss),
        activation_offload=run.activation_offload,
        optimizer=run.optimizer,
        optimizer_in_backward=run.optimizer_in_backward,
        attention=run.attention or "sdpa",
        processes=run.gpus,
        **own,
    )


def kernels_of(run: Run) -> Kernels:
    """The kernels that a run is estimated with: the nearest there are. Under autocast attention and head are 16-bit."""
    if run.kernels == "stock" or (run.precision.endswith("-amp") and run.kernels == "upcast"):
        return "stock"
    return "upcast" if run.kernels == "upcast" else "fused"


def result(case: Case) -> Result:
    """The estimate beside what was published."""
    step = throughput.step_seconds(case.shape, case.plan, case.device, case.load, kernels=kernels_of(case.run))
    assert step is not None and case.run.tokens_per_second is not None
    tokens = case.load.step_tokens / case.run.gpus
    speeds = Interval(tokens / step.high, tokens / step.point, tokens / step.low)
    return Result(case.run, case.run.tokens_per_second, speeds)


@cache
def fitted_models() -> frozenset[str]:
    """Every second model by size, of each reading's new ones: the constants were fitted on their runs."""
    halves: set[str] = set()
    sizes: set[int] = set()
    for read in sorted({case.run.read for case in cases()}):
        found = {case.run.model: case.shape.parameters for case in cases() if case.run.read == read}
        new = sorted(set(found.values()) - sizes)
        halves |= {model for model, size in found.items() if size in new[::2]}
        sizes |= set(new)
    return frozenset(halves)


def is_single_dense(run: Run) -> bool:
    """One GPU, no experts, and a base format that plans have."""
    dense = published.shape(run.model).experts == 0
    return run.source in SINGLE_DENSE and run.gpus == 1 and dense and run.quantization != "gptq"


GROUPS: dict[str, Callable[[Run], bool]] = {
    "all": lambda run: True,
    "models fitted on": lambda run: run.model in fitted_models(),
    "models held out": lambda run: run.model not in fitted_models(),
    "one GPU, dense": is_single_dense,
    "one GPU, dense, held out": lambda run: is_single_dense(run) and run.model not in fitted_models(),
    "as this trainer runs (stock kernels)": lambda run: is_single_dense(run) and run.kernels == "stock",
    "read in the second round": lambda run: run.read > FIRST_READ,
    "read in the second round, fitted on": lambda run: run.read > FIRST_READ and run.model in fitted_models(),
    "read in the second round, held out": lambda run: run.read > FIRST_READ and run.model not in fitted_models(),
}


def results(group: str = "all") -> list[Result]:
    """The results of one of GROUPS."""
    return [result(case) for case in cases() if GROUPS[group](case.run)]


def median_error(found: Sequence[Result]) -> float:
    """Error of the point that half of the runs do not exceed."""
    return statistics.median(x.error for x in found)


def share_inside(found: Sequence[Result]) -> float:
    """Part of the runs whose published speed the interval holds."""
    return sum(x.inside for x in found) / len(found)


def table(found: Iterable[Result]) -> Iterator[str]:
    """One line for the runs of a source that differ in batch and length only."""
    alike: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for x in found:
        run = x.run
        gpus = f"{run.gpus} x {run.gpu}" if run.gpus < 8 else f"8+ x {run.gpu}"
        kind = "gptq" if run.quantization == "gptq" else run.method
        half = "fit" if run.model in fitted_models() else "held out"
        recomputed = "yes" if run.checkpointing else "no"
        alike[(run.source, run.model.split("/")[-1], gpus, kind, run.kernels, recomputed, half)].append(x)
    yield "| source | model | GPUs | method | kernels | checkpointing | half | runs | estimated / published | inside |"
    yield "|---|---|---|---|---|---|---|--:|--:|--:|"
    for names, group in alike.items():
        ratios = sorted(x.ratio for x in group)
        span = f"{ratios[0]:.2f}" if len(ratios) == 1 else f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
        yield f"| {' | '.join(names)} | {len(group)} | {span} | {sum(x.inside for x in group)} |"


def every(found: Iterable[Result]) -> Iterator[str]:
    """One line a run."""
    yield "| source | model | GPUs | method | kernels | batch x length | published | estimated | ratio | inside |"
    yield "|---|---|---|---|---|--:|--:|--:|--:|---|"
    for x in found:
        run, seen = x.run, x.predicted
        names = (run.source, run.model.split("/")[-1], f"{run.gpus} x {run.gpu}", run.method, run.kernels)
        span = f"{seen.point:,.0f} ({seen.low:,.0f}-{seen.high:,.0f})"
        figures = (f"{run.micro_batch} x {run.length}", f"{x.published:,.0f}", span, f"{x.ratio:.2f}")
        yield f"| {' | '.join((*names, *figures))} | {'yes' if x.inside else 'no'} |"


def summary() -> Iterator[str]:
    """Error and share inside, by group."""
    yield "| runs | number | median error of the point | nine of ten within | inside the interval |"
    yield "|---|--:|--:|--:|--:|"
    for name in GROUPS:
        found = results(name)
        most = statistics.quantiles((x.error for x in found), n=10)[-1]
        yield f"| {name} | {len(found)} | {median_error(found):.1%} | {most:.0%} | {share_inside(found):.1%} |"


def by_card() -> Iterator[str]:
    """Ratios by card: with the constants of its class, and as if no run of the class had been seen."""
    yield "| GPU | runs | estimated / published, median | inside | without its class | inside |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in sorted({case.run.gpu for case in cases()}):
        own = [case for case in cases() if case.run.gpu == name]
        seen, unseen = [result(case) for case in own], list(map(_without_class, own))
        figures = (
            f"{statistics.median(x.ratio for x in some):.2f} | {share_inside(some):.0%}" for some in (seen, unseen)
        )
        yield f"| {name} | {len(own)} | {' | '.join(figures)} |"


def _without_class(case: Case) -> Result:
    """The result if the card's class were that of any other GPU."""
    table = constants.throughput()
    other = structs.replace(table, gpu_classes=table.gpu_classes[-1:])
    with mock.patch.object(constants, "throughput", return_value=other):
        return result(case)


def left_out() -> Iterator[str]:
    """Runs with a speed whose settings are not complete."""
    for run in published.runs():
        if run.tokens_per_second is not None and not complete(run):
            name = f"{run.source}: {run.model.split('/')[-1]} {run.method} on {run.gpus} x {run.gpu}"
            yield f"- {name}, {run.tokens_per_second:,.0f} tokens/s: {run.unlike or run.notes}"


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    if "--fit" in arguments:
        from tests.bench import throughput_fit

        print(*throughput_fit.lines(), sep="\n")
        return
    found = results()
    print(*(every(found) if "--all" in arguments else table(found)), "", sep="\n")
    print(*summary(), "", sep="\n")
    print(*by_card(), "", sep="\n")
    print("The worst:", *list(every(sorted(found, key=lambda x: -x.error)[:8])), "", sep="\n")
    print("Left out, for a setting that is not told:", *left_out(), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
