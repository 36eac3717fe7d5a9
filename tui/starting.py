"""What stands between a plan and a run on this box."""

from __future__ import annotations

from backend.errors import UserError
from backend.planner.outlook import Comparison


def refuse(comparison: Comparison) -> None:
    """Raise UserError for what can be planned here but not trained here."""
    answers, model, device = comparison.answers, comparison.model, comparison.device
    if not device.here:
        raise UserError(
            f"{device.label} is not in this box: this plan is to look at; go back to plan for this box", "gpu"
        )
    if not answers.data:
        raise UserError("there is no data yet, only sizes: go back and give a file, a folder or demo", "data")
    if model.kind == "size" or (model.kind == "folder" and not model.has_weights):
        raise UserError(
            f"{answers.model} has no weights here: go back and give a folder with weights or a hub id", "model"
        )
    if device.count > 1:
        raise UserError("this version trains on one device: start with CUDA_VISIBLE_DEVICES set to one of them", "gpu")
