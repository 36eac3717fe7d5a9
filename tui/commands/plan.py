"""`fttui plan`: the comparison, as a table or as JSON. No torch is loaded."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backend import presets
from backend.answers import Answers
from backend.errors import UserError
from backend.planner import findings, rules, situation
from tui.commands.options import Shared

if TYPE_CHECKING:
    from backend.plan.preset import Preset
    from backend.planner.estimates import Comparison
    from backend.planner.rent import RentOffer


def plan(
    preset: Annotated[str | None, Parameter(name="--preset")] = None,
    *,
    answers: Shared = Answers(),  # noqa: B008  (a frozen dataclass)
    json: Annotated[bool, Parameter(negative=())] = False,
    rent: Annotated[bool, Parameter(negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    trial: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Compare LoRA, QLoRA and full fine-tuning for a job, before the model is downloaded.

    Exit code 2 if a finding in the data stops it; 3 if nothing fits or the budget
    pays for nothing (with --rent, if no GPU fits the job). With --trial, 4 if no
    method completed a step, 130 if Ctrl+C ended it.

    For example:

        fttui plan --model 8b --gpu 4090 --rows 5000 --row-tokens 400 --budget 40
        fttui plan --model ./my-model --data rows.jsonl --shift deep --json
        fttui plan --model 8b --rows 5000 --row-tokens 400 --budget 40 --rent
        fttui plan --model 8b --gpu 4090 --rows 5000 --row-tokens 400 --dry-run
        fttui plan --model ./my-model --data rows.jsonl --trial

    Args:
        preset: Start from this preset; options override it.
        json: Print one JSON object instead of a table.
        rent: List the GPUs to rent for this job, the cheapest first.
        dry_run: Check the memory by running each method's real step on tensors without values; takes some seconds.
        trial: Train each method that fits (or the one of --set method=NAME) for a few real steps on your data, and
            measure it; takes minutes, and keeps only the figures, which correct the next comparison.
    """
    start = presets.load(preset) if preset is not None else None
    if start:
        answers = presets.merged(start, answers)
    if trial and (rent or dry_run):
        raise UserError("--trial can't be combined with --rent or --dry-run: leave them out", "trial")
    comparison = situation.predict(answers, start)
    if trial:
        from tui.commands import trial as trials

        return trials.command(comparison, rules.pin(answers, start).values.get("method"), as_json=json)
    offers = _offers(comparison, start) if rent else None
    sys.stdout.write(_text(comparison, offers, as_json=json, dry_run=dry_run) + "\n")
    if stops := findings.stops(comparison.findings):
        raise UserError(stops[0], "data")
    carried = comparison.recommended if offers is None else any(offer.estimate for offer in offers)
    return 0 if carried else 3


def _text(comparison: Comparison, offers: tuple[RentOffer, ...] | None, *, as_json: bool, dry_run: bool) -> str:
    """What is printed. Each form is imported only if it is asked for, so that a plan takes well under a second."""
    found, tables = None, []
    if dry_run:
        from tui.commands import dry_run as dry_runs

        found = dry_runs.checked(comparison, lambda text: print(text, file=sys.stderr, flush=True))
        tables = [] if as_json else [dry_runs.table(found)]
    if as_json:
        from tui.commands import plan_json

        return plan_json.encode(comparison, offers, found)
    if offers is not None:
        from tui.commands import rent_table

        tables.append(rent_table.table(comparison, offers, shutil.get_terminal_size().columns))
    if tables:
        return "\n\n".join(tables)
    from tui.commands import plan_table

    return plan_table.table(comparison, shutil.get_terminal_size().columns)


def _offers(comparison: Comparison, start: Preset | None) -> tuple[RentOffer, ...]:
    from backend.planner import rent

    return rent.offers(comparison.answers, comparison.model, comparison.data, start)
