"""The commands with which others' evaluators score what a run saved: lm-eval and lighteval, on GSM8K as an example."""

from __future__ import annotations

import shlex
from pathlib import Path

from backend.export.source import ExportSource
from backend.training import own_base

TASK = "gsm8k"


def commands(source: ExportSource, saved: Path) -> dict[str, str]:
    """Evaluator -> its command line for the result in `saved`; none if a path has a comma, which both split at.

    lighteval (0.13) can't load an adapter, and lm-eval none over a base that the run made for itself: they get the
    merged model.
    """
    merged = source.folder.path / "export" / "merged"
    if any("," in str(path) for path in (merged, saved, source.base)):
        return {}
    export = [] if not source.is_adapter else ["fttui", "export", source.folder.name, "--to", "merged"]
    whole = merged if source.is_adapter else saved
    peft = f"pretrained={source.base},peft={saved}"
    takes_adapter = source.is_adapter and not own_base.is_made(source.job)
    lm_eval = ["lm_eval", "--model", "hf", "--model_args", peft if takes_adapter else f"pretrained={whole}"]
    return {
        "lm-eval": _joined([] if takes_adapter else export, [*lm_eval, "--tasks", TASK]),
        "lighteval": _joined(export, ["lighteval", "accelerate", f"model_name={whole}", f"{TASK}|0"]),
    }


def _joined(*steps: list[str]) -> str:
    return " && ".join(shlex.join(words) for words in steps if words)
