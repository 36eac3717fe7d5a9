"""Checks before a plan becomes a run on this box."""

from __future__ import annotations

from backend.errors import UserError
from backend.planner import findings
from backend.planner.estimates import Comparison
from backend.run import output


def refuse(comparison: Comparison) -> None:
    """Raise UserError if the job can be planned here but not trained here."""
    if not comparison.device.here:
        said = f"{comparison.device.label} is not in this box: it can be planned for, not trained on"
        raise UserError(f"{said}; `fttui launch` starts it elsewhere", "gpu")
    refuse_anywhere(comparison)
    if comparison.answers.output:
        output.refuse_unusable(comparison.answers.output)


def refuse_anywhere(comparison: Comparison) -> None:
    """Raise UserError if the job can be planned but not trained on any box."""
    answers, model = comparison.answers, comparison.model
    if not answers.data:
        raise UserError(
            "there is no data yet, only its size: training needs a file, a folder, a hub id or demo", "data"
        )
    if model.kind == "size" or (model.kind == "folder" and not model.has_weights):
        raise UserError(f"{answers.model} has no weights here: give a folder with weights or a hub id", "model")
    if stops := findings.stops(comparison.findings):
        raise UserError(stops[0], "data")
