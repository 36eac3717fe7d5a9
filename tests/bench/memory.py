"""The memory formulas against the trainer's own step under fake tensors, over a grid: `make bench-memory`.

Eight models (tied and untied heads, grouped queries, sliding windows, 32k to 262k tokens of vocabulary, 0.1B to 72B) x
three methods x checkpointing x chunked loss x two lengths x two micro-batches. What is compared is the step's peak of
allocated bytes. No GPU and no weights are needed; the whole grid takes about ten minutes on two cores.

    python -m tests.bench.memory [--quick] [--adapters] [MODEL ...]

With --adapters it is DoRA, modules that train whole and rows of new tokens, by both adapter methods.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from backend.answers import METHODS, Method
from backend.dryrun import run
from backend.model import find
from backend.model.info import ModelInfo
from backend.plan.plan import Plan
from backend.planner import memory

MODELS = (
    *("SmolLM2-135M", "Qwen2.5-0.5B", "Llama-3.2-1B", "Gemma-3-1b", "Qwen3-4B", "Mistral-7B-v0.3", "Llama-3.1-8B"),
    "Qwen2.5-72B",
)
LENGTHS, MICRO_BATCHES = (512, 2048), (1, 4)
NEW_TOKENS_RANK = 17
QUICK = 12
"""Every n-th plan of the grid is tried."""


@dataclass(frozen=True)
class Row:
    """One plan of one model; bytes at the step's peak."""

    model: str
    plan: Plan
    length: int
    closed_bytes: int
    dry_bytes: int
    stage: str

    @property
    def error(self) -> float:
        """Error of the formulas, as a share of the dry run's peak."""
        return self.closed_bytes / self.dry_bytes - 1


def compare(model: ModelInfo, plan: Plan, length: int) -> Row:
    """Both figures of one plan; half of each sequence's tokens are target tokens."""
    scored = length // 2
    dry = run.measure(model, plan, length, scored)
    closed = max(memory.step_peak(model.shape, plan, length, scored).values())
    return Row(model.reference, plan, length, closed, dry.peak_bytes, dry.stage)


def plans() -> Iterator[tuple[Plan, int]]:
    """Every plan of the grid with its length."""
    switches = itertools.product(METHODS, (False, True), (False, True), LENGTHS, MICRO_BATCHES)
    for method, checkpointing, chunked, length, size in switches:
        yield planned(method, checkpointing=checkpointing, chunked_loss=chunked, micro_batch=size), length


def adapter_plans() -> Iterator[tuple[Plan, int]]:
    """DoRA on all layers and on two, whole modules; and, marked by a rank of 17, plans with new tokens."""
    kinds: tuple[dict[str, object], ...] = (
        {"use_dora": True},
        {"use_dora": True, "target_modules": "q_proj,v_proj"},
        {"modules_to_save": "embed_tokens,lm_head,norm"},
        {"rank": NEW_TOKENS_RANK},
    )
    for kind, method, checkpointing, chunked in itertools.product(kinds, METHODS[:2], (False, True), (False, True)):
        yield planned(method, checkpointing=checkpointing, chunked_loss=chunked, micro_batch=2, **kind), LENGTHS[0]


def with_new_tokens(model: ModelInfo) -> ModelInfo:
    """The model with sixteen new tokens."""
    return replace(model, shape=replace(model.shape, vocab=model.shape.vocab + 16, added_tokens=16))


def planned(method: Method, **settings: object) -> Plan:
    """A plan of the grid: single rows, so that no mask is needed."""
    kept = {"packing": False, "quantization": "nf4" if method == "qlora" else "none"}
    return Plan(method=method, **{**kept, **settings})  # type: ignore[arg-type]


def main(arguments: Sequence[str]) -> int:
    """Run the grid and print the tables."""
    quick, names = "--quick" in arguments, [x for x in arguments if not x.startswith("--")] or MODELS
    grid = adapter_plans() if "--adapters" in arguments else plans()
    chosen = list(grid)[:: QUICK + 1 if quick else 1]
    rows = []
    for name in names:
        model = find.find(name)
        more = with_new_tokens(model)
        rows += [compare(more if plan.rank == NEW_TOKENS_RANK else model, plan, length) for plan, length in chosen]
        print(f"{name}: {len(chosen)} plans", file=sys.stderr, flush=True)
    print("\n".join(table(rows)))
    return 0


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Errors by model and method, and the worst of all, as Markdown."""
    yield "| model | method | plans | median error | worst | worst below |"
    yield "|---|---|--:|--:|--:|--:|"
    for name in dict.fromkeys(row.model for row in rows):
        for method in METHODS:
            yield _line(name, method, [row for row in rows if row.model == name and row.plan.method == method])
    yield _line("all", "", rows)
    yield ""
    yield "| worst plans | length | peak point | dry run MiB | formulas MiB | error |"
    yield "|---|--:|---|--:|--:|--:|"
    for row in sorted(rows, key=lambda row: -abs(row.error))[:5]:
        sizes = f"{row.dry_bytes / 2**20:,.0f} | {row.closed_bytes / 2**20:,.0f}"
        yield f"| {row.model} {_settings(row.plan)} | {row.length} | {row.stage} | {sizes} | {row.error:+.1%} |"


def _line(name: str, method: str, rows: Sequence[Row]) -> str:
    errors = [abs(row.error) for row in rows]
    below = min(row.error for row in rows)
    return f"| {name} | {method} | {len(rows)} | {statistics.median(errors):.2%} | {max(errors):.1%} | {below:+.1%} |"


def _settings(plan: Plan) -> str:
    switches = {
        "checkpointing": plan.checkpointing,
        "chunked loss": plan.chunked_loss,
        "DoRA": plan.use_dora,
        plan.modules_to_save: bool(plan.modules_to_save),
        "new tokens": plan.rank == NEW_TOKENS_RANK,
    }
    return ", ".join([plan.method, f"micro-batch {plan.micro_batch}", *(name for name, on in switches.items() if on)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
