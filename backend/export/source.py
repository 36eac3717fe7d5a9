"""The run that is exported: its result, its settings, and what came of it. Reads the run folder only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from backend.data.chat.tokenizer import TextTokenizer
from backend.errors import UserError
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run import history
from backend.run.event_log import EventTail
from backend.run.events import Replanned
from backend.run.folder import RunFolder, all_runs
from backend.run.history import History
from backend.training import locate, own_base

ENDED = ("done", "stopped")
Say = Callable[[str], None]


@dataclass(frozen=True)
class ExportSource:
    """A run with a result."""

    folder: RunFolder
    job: Job
    past: History

    @property
    def result(self) -> Path:
        """The adapter or the model, with tokenizer and chat template."""
        return self.folder.result

    @cached_property
    def plan(self) -> Plan:
        """The settings the run ended with: the plan, and what running out of memory changed in it."""
        changed: dict[str, Any] = {}
        for event in EventTail(self.folder.events_file).events():
            if isinstance(event, Replanned):
                changed |= event.changed
        return replace(self.job.plan, **changed)

    @property
    def is_adapter(self) -> bool:
        """The result is an adapter, not a whole model."""
        return self.job.plan.method != "full"

    @property
    def base(self) -> str:
        """The name by which other tools load the base: the hub id, or the folder."""
        if own_base.is_made(self.job):
            return str(own_base.folder(self.folder.path))
        return self.job.hub_id or str(locate.on_this_box(self.job))

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer and the template that the run was trained with. Raises UserError if it is damaged."""
        return TextTokenizer.load(self.result)

    def base_folder(self, say: Say) -> Path:
        """The base's folder on this box, fetched if it came from the hub. Raises UserError if it is gone."""
        own = own_base.is_made(self.job) and own_base.folder(self.folder.path).is_dir()
        known = own or self.job.model == "demo" or self.job.hub_id or locate.on_this_box(self.job).is_dir()
        if not known:
            raise UserError(f"the base {self.job.model_folder} is not there any more; put it back", "run")
        try:
            return locate.model_folder(self.job, self.folder.path, say)
        except UserError:
            raise
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n")[0]
            raise UserError(f"the base {self.job.model_folder} can't be fetched: {reason}", "run") from None


def find(reference: str | None) -> ExportSource:
    """The run of this name, or the latest that has ended with a result. Raises UserError if there is none."""
    folder = RunFolder.find(reference) if reference is not None else _latest()
    job, past = folder.job(), history.read(folder.events_file)
    if past.state in ENDED and _has_result(folder):
        return ExportSource(folder, job, past)
    state = past.state
    if folder.is_alive():
        raise UserError(f"run {folder.name} is being trained now; export it when it has ended", "run")
    if state in ENDED:
        raise UserError(f"run {folder.name} has no result any more; train it again to export it", "run")
    raise UserError(f"run {folder.name} has no result yet; `fttui resume {folder.name}` goes on with it", "run")


def _latest() -> RunFolder:
    ended = (run for run in all_runs() if _has_result(run) and history.read(run.events_file).state in ENDED)
    found = next(ended, None)
    if found is None:
        raise UserError("no run on this box has ended with a result yet; `fttui runs` lists them", "run")
    return found


def _has_result(folder: RunFolder) -> bool:
    return any((folder.result / name).is_file() for name in ("adapter_config.json", "config.json"))
