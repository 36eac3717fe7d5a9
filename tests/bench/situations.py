"""The situations of tests/situations.py as a table: what is recommended, and the reason that decided it.

    python -m tests.bench.situations

Prints Markdown for RESULTS.md. The same list is a test (tests/backend/planner/test_choice.py).
"""

from __future__ import annotations

from backend import units
from backend.planner.compare import compare
from backend.planner.estimates import Comparison
from backend.planner.rules import title
from tests.shapes import model
from tests.situations import SITUATIONS, Situation


def main() -> None:
    """One line a situation."""
    names = ("situation", "card", "model", "rows x tokens", "asked for", "take", "hours", "USD", "what decided it")
    print(f"| {' | '.join(names)} |")
    print("|---|---|--:|--:|---|---|--:|--:|---|")
    for situation in SITUATIONS:
        print(line(situation, compare(situation.answers, situation.device, model(situation.shape), situation.data)))


def line(situation: Situation, seen: Comparison) -> str:
    """The situation, the method and why."""
    data = situation.data
    best = seen.methods[seen.recommended] if seen.recommended else None
    cost = units.usd(best.cost_usd.point) if best and best.cost_usd else "-"
    cells = (
        situation.name,
        situation.device.label,
        units.count(situation.shape.parameters),
        f"{data.rows:,} x {data.percentile(50):,}",
        asked(situation),
        title(seen.recommended) if seen.recommended else "nothing",
        f"{best.hours.point:.2f}" if best else "-",
        cost,
        seen.reasons[0],
    )
    return f"| {' | '.join(cells)} |"


def asked(situation: Situation) -> str:
    """Shift, stakes, variants and limits that differ from the defaults."""
    answers = situation.answers
    parts = [
        answers.shift,
        f"stakes {answers.stakes}" if answers.stakes != "normal" else "",
        f"{answers.variants} variants" if answers.variants > 1 else "",
        f"USD {answers.budget_usd:g}" if answers.budget_usd is not None else "",
        f"{answers.deadline_hours:g} h" if answers.deadline_hours is not None else "",
        *answers.set,
        f"{situation.data.duplicate_rows:,} duplicates" if situation.data.duplicate_rows else "",
    ]
    return ", ".join(part for part in parts if part)


if __name__ == "__main__":
    main()
