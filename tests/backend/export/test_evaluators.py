"""The command lines for other programs' evaluators: for a model, an adapter, and an adapter over the run's own base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backend.export import evaluators
from backend.export.source import ExportSource
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.folder import RunFolder
from backend.run.history import History

CASES = ("full", "adapter", "adapter over added tokens")


def lines(case: str, saved: str = "/my runs/result") -> dict[str, str]:
    """Evaluator -> its command line."""
    plan = Plan(method="full" if case == "full" else "lora", quantization="none")
    job = Job("me/base", "me/base", "d", plan, "cpu", "CPU", hub_id="me/base")
    if case.endswith("tokens"):
        job = replace(job, added_tokens=("<new>",))
    return evaluators.commands(ExportSource(RunFolder(Path("/my runs/one")), job, History(Path("e"))), Path(saved))


def test_a_model_is_loaded_where_it_was_saved() -> None:
    assert lines("full") == {
        "lm-eval": "lm_eval --model hf --model_args 'pretrained=/my runs/result' --tasks gsm8k",
        "lighteval": "lighteval accelerate 'model_name=/my runs/result' 'gsm8k|0'",
    }


def test_an_adapter_is_merged_for_what_can_not_load_it() -> None:
    merged = "fttui export one --to merged && "
    lighteval = f"{merged}lighteval accelerate 'model_name=/my runs/one/export/merged' 'gsm8k|0'"
    assert lines("adapter") == {
        "lm-eval": "lm_eval --model hf --model_args 'pretrained=me/base,peft=/my runs/result' --tasks gsm8k",
        "lighteval": lighteval,
    }
    assert lines("adapter over added tokens") == {
        "lm-eval": f"{merged}lm_eval --model hf --model_args 'pretrained=/my runs/one/export/merged' --tasks gsm8k",
        "lighteval": lighteval,
    }


def test_both_split_their_arguments_at_commas() -> None:
    assert lines("full", "/mine, and yours") == {}
