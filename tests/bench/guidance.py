"""The guidance's own figures for an 8B model beside ours, by data size, and why they differ if they do.

    python -m tests.bench.guidance

Prints Markdown for RESULTS.md. Half of a row's tokens are targets; prices of presets/gpus.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend import units
from backend.answers import Answers, Method
from backend.planner import devices, guidance
from backend.planner.compare import compare
from backend.planner.estimates import Comparison, MethodEstimate
from backend.planner.rules import title
from tests.shapes import LLAMA_8B, model, rows

ROWS = (1_000, 10_000, 50_000, 100_000)
LENGTHS = (400, 2_000)
CARDS: dict[Method, tuple[str, ...]] = {
    "lora": ("A100 SXM 80GB",),
    "qlora": ("A100 SXM 80GB",),
    "full": ("A100 SXM 80GB:4", "H100 SXM:2"),
}


def main() -> None:
    """Cost over data sizes, then what is saved."""
    sizes = " | ".join(f"{count:,} rows" for count in ROWS)
    print(f"| method | card | guidance, USD | tokens a row | {sizes} | the guidance begins at |")
    print(f"|---|---|--:|--:|{'--:|' * len(ROWS)}--:|")
    for method, cards in CARDS.items():
        for card in cards:
            for length in LENGTHS:
                print(cost_line(method, card, length))
    print("\n| what is saved | guidance | ours |\n|---|--:|--:|")
    for line in size_lines():
        print(line)


def cost_line(method: Method, card: str, length: int) -> str:
    """One method on one card: our USD over the numbers of rows, and the tokens at which we reach the guidance's."""
    low, high = guidance.figures().of(method).usd
    plans = [planned(method, card, count, length) for count in ROWS]
    last, comparison = plans[-1]
    assert last.cost_usd is not None
    tokens = comparison.data.cut(last.plan.max_length).tokens * last.plan.epochs
    start = f"{units.count(tokens * low / last.cost_usd.point)} tokens"
    cells = (
        title(method),
        comparison.device.label,
        f"{low}-{high}",
        f"{length:,}",
        *(cost(x, low, high) for x, _ in plans),
    )
    return f"| {' | '.join(cells)} | {start} |"


def cost(seen: MethodEstimate, low: float, high: float) -> str:
    """The point and its interval; in bold if the point is within the guidance's, with a ~ if only the interval is."""
    assert seen.cost_usd is not None
    text = f"{seen.cost_usd.point:,.2f} ({seen.cost_usd.low:,.2f}-{seen.cost_usd.high:,.2f})"
    if low <= seen.cost_usd.point <= high:
        return f"**{text}**"
    return f"~ {text}" if seen.cost_usd.high >= low and seen.cost_usd.low <= high else text


def size_lines() -> Iterator[str]:
    """Adapter and whole model on disk."""
    table = guidance.figures()
    for rank in (8, 16, 32):
        size = LLAMA_8B.lora_parameters(rank)
        ours = f"{units.disk(size * 4)} in float32 as trained, {units.disk(size * 2)} in 16 bit"
        yield f"| adapter, rank {rank}, all linear layers | {span(table.adapter_bytes)} | {ours} |"
    full, _ = planned("full", "A100 SXM 80GB:4", 10_000, 400)
    each = units.disk(full.host.disk_by_part["checkpoints"] // 4)
    ours = f"{units.disk(full.checkpoint_bytes)} the result, {each} a checkpoint with its optimizer states"
    yield f"| whole model | {span(table.checkpoint_bytes)} | {ours} |"


def span(sizes: Sequence[int]) -> str:
    """`20 MB to 100 MB`."""
    return " to ".join(units.disk(size) for size in sizes)


def planned(method: Method, card: str, count: int, length: int) -> tuple[MethodEstimate, Comparison]:
    """The method as it is planned there."""
    answers = Answers(shift="deep" if method == "full" else "domain")
    comparison = compare(answers, devices.named(card), model(LLAMA_8B), rows(count, length))
    return comparison.methods[method], comparison


if __name__ == "__main__":
    main()
