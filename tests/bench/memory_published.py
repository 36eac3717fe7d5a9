"""The memory formulas against published runs: `make bench-memory-published`. Pure arithmetic.

Each run is predicted by the planner's own formulas with the run's own settings and its own stack
(tests/bench/published/stacks.py). What torch allocated is compared with `peak_allocated_bytes`; what it reserved, or
the card showed (nvidia-smi), with `peak_bytes`. The constants of presets/memory.toml that say how the two differ
were fitted on the runs of one half of the models; the error on the other half shows how good they are.

    python -m tests.bench.memory_published [--fit]
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from unittest import mock

import msgspec

from backend import constants
from backend.model.shape import ModelShape
from backend.planner import memory
from tests.bench import published
from tests.bench.published import Run, stacks
from tests.bench.throughput import FIRST_READ, fitted_models, is_single_dense, kernels_of, plan_of

Kind = Literal["allocated", "reserved", "card"]

GIB = 2**30
TRAINING = ("forward", "backward", "optimizer")
"""The phases that the runs had; none of them evaluated with this trainer's loss."""
TOO_LOW = 4
"""A prediction that is too low weighs this many times as much as one that is too high: it ends a run."""
TRIED: dict[str, tuple[float, ...]] = {
    "context": tuple(round(share * GIB) for share in (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)),
    "cached": (0.5, 0.55, 0.6, 0.65, 0.7, 0.75),
    "cached_plain": (0.0, 0.1, 0.15, 0.2, 0.25, 0.3),
}
"""A context can't be larger than the least by which a card showed more than torch allocated: 0.9 GiB."""
ALIKE = 1.03
"""Among constants whose loss is within this factor of the best the largest are taken, which are on the safe side."""

EXPLAINED: dict[tuple[str, str, str], str] = {
    ("lora", "card", "Qwen/Qwen-1_8B"): "with one sequence a batch the cache held less than in other runs",
    (
        "full",
        "card",
        "mistralai/Mistral-7B-v0.1",
    ): "the cache would grow beyond the card, so the card's size is predicted; "
    "in truth the allocator emptied it and showed as little as 1 GiB more than it had handed out",
    ("lora", "card", "Qwen/Qwen-7B"): "with one sequence a batch the cache held less than in other runs",
    ("lora", "card", "mistralai/Mistral-7B-v0.1"): "the loss and a block need about as much here, and the cache used "
    "more of one for the other than the constant says",
    (
        "lora",
        "reserved",
        "HuggingFaceTB/SmolLM2-135M",
    ): "what growing segments keep was fitted to models of 1B to "
    "8B, and is at least 0.35 GiB there; so small a model has less of it",
    ("full", "card", "bigcode/gpt_bigcode-santacoder"): "of what the backward pass had cached the update's copies used "
    "almost nothing; the constant says a third",
}
"""(method, kind, model) -> why its runs are among the worst."""


@dataclass(frozen=True)
class Result:
    """One measured figure of a run beside the predicted one, in bytes."""

    run: Run
    kind: Kind
    measured: int
    predicted: int
    phase: str
    """The training phase with the predicted peak."""

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1

    @property
    def fitted(self) -> bool:
        """Whether the constants were fitted on runs of this model; models that were added later are not."""
        return self.run.read == FIRST_READ and self.run.model in fitted_models()

    @property
    def explanation(self) -> str:
        """Why the error is among the worst; empty if it is not."""
        return EXPLAINED.get((self.run.method, self.kind, self.run.model), "")


def complete(run: Run) -> bool:
    """One GPU, dense, and every setting that memory depends on is given."""
    return is_single_dense(run) and run.peak_bytes is not None and not missing(run)


def missing(run: Run) -> list[str]:
    """Settings that memory depends on and that are not given, or that the formulas don't have."""
    names = ["checkpointing", "chunked_loss", "attention"]
    if run.method != "full":
        names += ["adapter_targets", "rank"]
    found = [name for name in names if getattr(run, name) is None] + ([run.unlike] if run.unlike else [])
    return found + ["embedding, head and attention in float32"] * (kernels_of(run) == "upcast")


def results() -> list[Result]:
    """Every figure of the complete runs."""
    return [result for run in published.runs() if complete(run) for result in of(run)]


def sharded() -> list[Result]:
    """Figures of the full runs whose 16-bit weights were sharded over two devices."""
    runs = (x for x in published.runs() if x.source == "fms-2024" and x.gpus > 1 and x.method == "full")
    return [result for run in runs for result in of(run)]


def of(run: Run) -> Iterator[Result]:
    """A run's figures; the card's is never above what the card has, since a full allocator empties its cache."""
    device = published.device(run)
    plan, stack = stacks.plan_as_run(run, plan_of(run)), stacks.stack_of(run)
    peak = memory.predict(_shape(run), plan, device, run.length, stack=stack)
    phase = max(TRAINING, key=lambda name: peak.by_phase[name])
    allocated = peak.by_phase[phase]
    whole = allocated + peak.peak_bytes - peak.peak_allocated_bytes
    predicted: dict[Kind, int] = {
        "allocated": allocated,
        "reserved": whole - memory.reserve(device, 0),
        "card": min(whole, device.memory_bytes),
    }
    for kind, measured in _measured(run).items():
        yield Result(run, kind, measured, predicted[kind], phase)


def _measured(run: Run) -> dict[Kind, int]:
    """Of peft's runs only the most ever reserved: its longest batch, as a plan is made for (the row's device_bytes)."""
    assert run.peak_bytes is not None
    if run.peak_kind == "reserved":
        return {"reserved": run.device_bytes or run.peak_bytes}
    found: dict[Kind, int] = {"card" if run.peak_kind == "device" else "allocated": run.peak_bytes}
    if run.source.startswith("fitcheck"):
        return found | {"reserved": run.device_bytes or 0}
    return found | ({"card": run.device_bytes} if run.device_bytes else {})


def _shape(run: Run) -> ModelShape:
    """The model; gpt_bigcode's learned positions, which are counted with its norms, make no activations."""
    shape = published.shape(run.model)
    if "bigcode" in run.model:
        return replace(shape, norm_parameters=(2 * shape.layers + 1) * shape.hidden)
    return shape


GROUPS: dict[str, Callable[[Result], bool]] = {
    "all": lambda x: True,
    "models fitted on": lambda x: x.fitted,
    "models held out": lambda x: not x.fitted,
    "allocated, models fitted on": lambda x: x.fitted and x.kind == "allocated",
    "allocated, models held out": lambda x: not x.fitted and x.kind == "allocated",
    "reserved or whole card, models fitted on": lambda x: x.fitted and x.kind != "allocated",
    "reserved or whole card, models held out": lambda x: not x.fitted and x.kind != "allocated",
}


def median_error(found: Iterable[Result]) -> float:
    """The absolute error that half of the figures do not exceed."""
    return statistics.median(abs(x.error) for x in found)


def worst(found: Iterable[Result], number: int = 5) -> list[Result]:
    """The figures with the largest errors, the worst first."""
    return sorted(found, key=lambda x: -abs(x.error))[:number]


def table(found: Iterable[Result]) -> Iterator[str]:
    """One line a figure."""
    yield "| run | settings | half | figure | measured GiB | predicted GiB | error | peak in |"
    yield "|---|---|---|---|--:|--:|--:|---|"
    for x in found:
        run, half = x.run, "fit" if x.fitted else "held out"
        name = f"{run.source}: {run.model.split('/')[-1]} {run.method}, {run.kernels}"
        extra = (", checkpointing" * bool(run.checkpointing), ", chunked loss" * bool(run.chunked_loss))
        settings = f"{run.micro_batch} x {run.length}{''.join(extra)}"
        sizes = f"{x.measured / GIB:.2f} | {x.predicted / GIB:.2f} | {x.error:+.1%}"
        yield f"| {name} | {settings} | {half} | {x.kind} | {sizes} | {x.phase} |"


def by_stack(found: Iterable[Result]) -> Iterator[str]:
    """One line for the figures of a stack that differ in batch and length only."""
    alike: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for x in found:
        run = x.run
        loss = "chunked" if run.chunked_loss else "whole"
        names = (
            run.source,
            run.model.split("/")[-1],
            run.method,
            run.kernels,
            "yes" if run.checkpointing else "no",
            loss,
        )
        alike[(*names, "fit" if x.fitted else "held out")].append(x)
    yield "| source | model | method | kernels | checkpointing | loss | half | allocated | reserved or card |"
    yield "|---|---|---|---|---|---|---|--:|--:|"
    for key, group in alike.items():
        spans = (_span([x.error for x in group if (x.kind == "allocated") == handed]) for handed in (True, False))
        yield f"| {' | '.join((*key, *spans))} |"


def _span(errors: Sequence[float]) -> str:
    if not errors:
        return ""
    low, high = f"{min(errors):+.1%}", f"{max(errors):+.1%}"
    return low if low == high else f"{low} to {high}"


def summary(found: Sequence[Result]) -> Iterator[str]:
    """Errors by group."""
    yield "| figures | number | median error | lowest | highest |"
    yield "|---|--:|--:|--:|--:|"
    for name, belongs in GROUPS.items():
        some = [x for x in found if belongs(x)]
        span = f"{min(x.error for x in some):+.1%} | {max(x.error for x in some):+.1%}"
        yield f"| {name} | {len(some)} | {median_error(some):.2%} | {span} |"


def by_phase() -> Iterator[str]:
    """The most that each phase had allocated, for the runs that report it."""
    yield "| run | attention | settings | loaded GiB | forward | backward | optimizer |"
    yield "|---|---|---|--:|--:|--:|--:|"
    for run, sizes in phases():
        name = f"{run.source}: {run.model.split('/')[-1]} {run.method}"
        pairs = (f"{predicted / GIB:.2f} of {measured / GIB:.2f}" for measured, predicted in sizes.values())
        yield f"| {name} | {run.attention} | {run.micro_batch} x {run.length} | {' | '.join(pairs)} |"


def phases() -> Iterator[tuple[Run, dict[str, tuple[int, int]]]]:
    """Runs that say their peaks by phase, and by phase what was measured and what is predicted.

    These runs keep the logits that the model returned while the optimizer steps, in 16 bits.
    """
    for run in published.runs():
        if not complete(run) or run.forward_bytes is None:
            continue
        plan, stack = stacks.plan_as_run(run, plan_of(run)), stacks.stack_of(run)
        found = memory.predict(_shape(run), plan, published.device(run), run.length, stack=stack).by_phase
        logits = run.micro_batch * run.length * _shape(run).vocab * memory.SIXTEEN_BIT
        measured = (run.loaded_bytes, run.forward_bytes, run.peak_bytes, run.optimizer_bytes)
        predicted = (found["load"], found["forward"], found["backward"], found["optimizer"] + logits)
        names = ("load", "forward", "backward", "optimizer")
        yield run, {n: (m or 0, p) for n, m, p in zip(names, measured, predicted, strict=True)}


def left_out() -> Iterator[str]:
    """Single-GPU dense runs with a memory figure whose settings are not complete, with what is missing."""
    for run in published.runs():
        dense = published.shape(run.model).experts == 0 and run.quantization != "gptq"
        if run.peak_bytes is None or run.gpus > 1 or not dense or complete(run):
            continue
        why = ", ".join(missing(run)) or "recipe assumed from its shipped configuration"
        yield f"- {run.source}: {run.model.split('/')[-1]} {run.method}, {run.peak_bytes / GIB:.2f} GiB: {why}"


def fit() -> Iterator[str]:
    """The constants of TRIED that fit the runs of one half best; presets/memory.toml has what this prints."""
    shipped, found = constants.memory(), []
    for values in itertools.product(*TRIED.values()):
        cuda = msgspec.structs.replace(shipped.cuda, **dict(zip(TRIED, values, strict=True)))
        changed = msgspec.structs.replace(shipped, cuda=cuda)
        with mock.patch.object(constants, "memory", return_value=changed):
            errors = [x.error for x in results() if x.fitted and x.kind != "allocated"]
        found.append((statistics.fmean(max(e, -TOO_LOW * e) for e in errors), values))
    best = min(found)
    taken = max((x for x in found if x[0] <= ALIKE * best[0]), key=lambda x: x[1])
    for name, (loss, values) in {"best": best, "taken": taken}.items():
        yield f"{name} ({loss:.4f}): " + ", ".join(f"{key} = {x}" for key, x in zip(TRIED, values, strict=True))


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    if "--fit" in arguments:
        print(*fit(), sep="\n")
        return
    found = results()
    print(
        *table(found),
        "",
        *by_stack(found),
        "",
        *summary(found),
        "",
        "The worst:",
        "",
        *table(worst(found)),
        "",
        sep="\n",
    )
    print(*(f"- {x}" for x in dict.fromkeys(x.explanation for x in worst(found))), "", sep="\n")
    print("Full over two devices, apart from all that (the cache's share was fitted on these):", "", sep="\n")
    print(*table(sharded()), "", sep="\n")
    print("By phase, predicted of measured:", "", *by_phase(), "", sep="\n")
    print("Left out, for a setting that is not told:", *left_out(), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
