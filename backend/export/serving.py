"""Which adapters servers can load."""

from __future__ import annotations

from backend.errors import UserError
from backend.export.source import ExportSource


def refuse_more_than_matrices(source: ExportSource, server: str) -> None:
    """Raise UserError (field `to`) if the adapter has more than LoRA's two matrices, all that `server` supports."""
    plan = source.plan
    beside = {
        "DoRA's lengths": plan.use_dora,
        f"{plan.modules_to_save} trained whole": bool(plan.modules_to_save),
        "the rows of added tokens": bool(source.job.added_tokens),
    }
    what = next((name for name, there in beside.items() if there), None)
    if source.is_adapter and what is not None:
        fix = "`fttui export --to merged` and serve the merged model"
        raise UserError(f"{server} serves no adapter with {what}; {fix}", "to")
