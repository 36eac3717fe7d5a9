"""Checks before a plan becomes a run on this box."""

from __future__ import annotations

from collections.abc import Iterator

from backend import settings
from backend.answers import Method
from backend.data.finding import Finding
from backend.data.preflight.used import used
from backend.errors import UserError
from backend.planner import findings, passed_over, reasons
from backend.planner.estimates import Comparison
from backend.run import output


def refuse(comparison: Comparison) -> None:
    """Raise UserError if the job can be planned here but not trained here."""
    if not comparison.device.here:
        said = f"{comparison.device.label} is not in this box: it can be planned for, not trained on"
        raise UserError(f"{said}; `fttui launch` starts it elsewhere", "gpu")
    refuse_anywhere(comparison)
    settings.load()  # the run needs them: no folder is made for one that can't start
    if comparison.answers.output:
        output.refuse_unusable(comparison.answers.output)


def refuse_anywhere(comparison: Comparison) -> None:
    """Raise UserError if the job can be planned but trained on no box: something of it is missing or useless."""
    answers, model = comparison.answers, comparison.model
    if not answers.data:
        raise UserError(
            "there is no data yet, only its size: training needs a file, a folder, a hub id or demo", "data"
        )
    if model.kind == "size" or (model.kind == "folder" and not model.has_weights):
        raise UserError(f"{answers.model} has no weights here: give a folder with weights or a hub id", "model")
    if stops := findings.stops(comparison.findings):
        raise UserError(stops[0], "data")


def warnings(comparison: Comparison, method: Method) -> Iterator[Finding | str]:
    """What the wizard says of a job before its start, and the run itself does not: the run reports its data's findings.

    Findings in the plan, such as a batch larger than the data, too few rows to train on, and settings without effect.
    """
    data, plan = comparison.data, comparison.methods[method].plan
    said_by_run = used(data, plan.max_length).findings
    yield from (x for x in findings.findings(data, plan) if x.severity != "notes" and x not in said_by_run)
    yield from reasons.few_rows(data.rows)
    yield from passed_over.sentences(comparison.answers, comparison.methods[method], comparison.device, data)
