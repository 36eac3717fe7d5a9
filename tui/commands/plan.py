"""`fttui plan`: the comparison, as a table or as JSON. No torch is loaded."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from backend import presets
from backend.answers import Answers
from backend.planner import situation
from tui.commands.options import Shared


def plan(
    preset: Annotated[str | None, Parameter(name="--preset")] = None,
    *,
    answers: Shared = Answers(),  # noqa: B008  (a frozen dataclass)
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Compare LoRA, QLoRA and full fine-tuning for a job, before anything is downloaded.

    Exit code 3 where nothing fits or the budget carries nothing.

    For example:

        fttui plan --model 8b --gpu 4090 --rows 5000 --row-tokens 400 --budget 40
        fttui plan --model ./my-model --data rows.jsonl --shift deep --json

    Args:
        preset: Start from this preset; options given beside it win.
        json: Print one JSON object instead of a table.
    """
    from tui.commands import plan_json, plan_table

    start = presets.load(preset) if preset else None
    if start:
        answers = presets.merged(start, answers)
    comparison = situation.foresee(answers, start.plan if start else None, start.name if start else "")
    text = plan_json.encode(comparison) if json else plan_table.table(comparison)
    sys.stdout.write(text + "\n")
    return 0 if comparison.recommended else 3
