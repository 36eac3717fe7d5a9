"""The time estimate against published runs: `python -m tests.bench.throughput [--all] [--fit]`. Pure arithmetic.

Each run is estimated by the planner's own functions with the run's own settings. The constants in
presets/throughput.toml were fitted on the runs of one half of the models; the error on the other half is their worth.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner import throughput
from backend.planner.device import Device
from backend.planner.estimates import Interval
from backend.planner.gpu_time import Kernels
from backend.planner.throughput import Work
from tests.bench import published
from tests.bench.published import Run

SINGLE_DENSE = ("fms-2024", "fms-liger", "peft", "torchtune-3b", "qwen", "llama-factory")
"""Sources of the runs that predictions are compared with first: one GPU, dense, complete settings."""


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
        """The error, which is the same for twice as fast and half as fast."""
        return max(self.ratio, 1 / self.ratio) - 1

    @property
    def inside(self) -> bool:
        """Whether the interval holds the published value."""
        return self.predicted.low <= self.published <= self.predicted.high


def complete(run: Run) -> bool:
    """Whether its speed and the settings that it depends on are given."""
    return run.tokens_per_second is not None and run.checkpointing is not None


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
    if run.adapter_targets and run.model != "Qwen/Qwen-7B":  # that one's names differ; all its linears carry adapters
        own["target_modules"] = run.adapter_targets
    return Plan(
        method=run.method,
        quantization="none" if run.quantization == "none" else "nf4",
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


def result(case: Case) -> Result:
    """The estimate beside what was published."""
    kernels: Kernels = "stock" if case.run.kernels in ("stock", "upcast") else "fused"
    step = throughput.step_seconds(case.shape, case.plan, case.device, case.load, kernels=kernels)
    assert step is not None and case.run.tokens_per_second is not None
    tokens = case.load.step_tokens / case.run.gpus
    speeds = Interval(tokens / step.high, tokens / step.point, tokens / step.low)
    return Result(case.run, case.run.tokens_per_second, speeds)


@cache
def fitted_models() -> frozenset[str]:
    """Every second model by size: the constants were fitted on their runs."""
    models = sorted({case.run.model for case in cases()}, key=lambda model: published.shape(model).parameters)
    return frozenset(models[::2])


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


def left_out() -> Iterator[str]:
    """Runs with a speed whose settings are not complete."""
    for run in published.runs():
        if run.tokens_per_second is not None and not complete(run):
            name = f"{run.source}: {run.model.split('/')[-1]} {run.method} on {run.gpus} x {run.gpu}"
            yield f"- {name}, {run.tokens_per_second:,.0f} tokens/s: {run.notes}"


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    if "--fit" in arguments:
        from tests.bench import throughput_fit

        print(*throughput_fit.lines(), sep="\n")
        return
    found = results()
    print(*(every(found) if "--all" in arguments else table(found)), "", sep="\n")
    print(*summary(), "", sep="\n")
    print("The worst:", *list(every(sorted(found, key=lambda x: -x.error)[:8])), "", sep="\n")
    print("Left out, for a setting that is not told:", *left_out(), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
