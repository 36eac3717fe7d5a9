"""Finished runs made without training: the trainer's own code saves a model whose adapter is not zero."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.answers import Method
from backend.export import source
from backend.export.source import ExportSource
from backend.plan.job import Job
from backend.run.event_log import EventLog
from backend.run.events import Evaluated, RunFinished, RunStarted, StepDone
from backend.run.folder import RunFolder
from backend.training import methods
from backend.training.saving import result
from tests.backend.training.helpers import loaded, plan


def ended(
    model: Path,
    data: Path | str = "rows.jsonl",
    method: Method = "lora",
    job: dict[str, Any] | None = None,
    **changes: Any,
) -> RunFolder:
    """A finished run on `model`, with its result as the trainer writes it."""
    settings = plan(method, **changes)
    folder = without_result(model, data, method, job, **changes)
    made: methods.Loaded = loaded(model, settings)
    result.write(made, result.tokenizer_of(model, None), settings, folder.result)
    return folder


def without_result(
    model: Path,
    data: Path | str = "rows.jsonl",
    method: Method = "lora",
    job: dict[str, Any] | None = None,
    **changes: Any,
) -> RunFolder:
    """A run folder whose events say that it is done; without a result."""
    settings = plan(method, **changes)
    made = Job(str(model), str(model), str(data), settings, device="cpu", device_name="CPU")
    folder = RunFolder.create(replace(made, **(job or {})))
    log = EventLog(folder.events_file)
    log.write(RunStarted(total_steps=10, train_rows=36, step=0, versions={"torch": "2.13.0"}))
    log.write(Evaluated(step=0, loss=2.5))
    for step in range(1, 11):
        log.write(StepDone(step=step, total_steps=10, loss=2.5 - step / 10))
    log.write(Evaluated(step=10, loss=1.75))
    log.write(RunFinished(state="done", step=10, tokens=4321))
    log.close()
    return folder


def found(folder: RunFolder) -> ExportSource:
    """The run as an export sees it."""
    return source.find(folder.name)


def silent(_: str) -> None:
    """Report no progress."""
