"""A job as a run elsewhere needs it: names, the command, what goes along, and its limits of time and money."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from backend.errors import UserError
from backend.launch.targets import pinned
from backend.plan.job import Job

TIME_MARGIN = 1.25
"""An engine's time limit for a run is this factor times the longest predicted time, plus START_HOURS."""
START_HOURS = 0.5
"""Hours for installing, and downloading the model."""
STORAGE = "fttui-runs"
"""The default name of the bucket, volume or claim that outlives the machine."""
PLAN, TOKENS = "launch.toml", "tokens.json"


@dataclass(frozen=True)
class Upload:
    """A file or folder of this box that goes along."""

    local: str
    """An absolute path."""
    name: str
    """Its name there: a harmless one, with its suffix."""


@dataclass(frozen=True)
class Options:
    """Options of a launch besides the job."""

    budget_usd: float | None = None
    storage: str | None = None
    """Bucket, volume, claim or folder for checkpoints and result; None for the engine's default."""
    package: str | None = None
    """What pip installs as fttui there; None for this version of it."""
    model_there: str | None = None
    """Where the model is on the other box, if it is there already."""
    data_there: str | None = None
    nodes: int = 1
    """Boxes that the run is spread over."""


@dataclass(frozen=True)
class LaunchSpec:
    """A job and the options of its launch."""

    job: Job
    options: Options = Options()

    @property
    def name(self) -> str:
        """A name that every engine takes: lower-case letters, digits and dashes, a letter first, at most 41.

        It differs for every job: a second one in the same folder would go on with the run of the first.
        """
        stem = re.sub(r"[^a-z0-9]+", "-", f"fttui-{Path(self.job.model).name}".lower())[:26].strip("-")
        return f"{stem}-{self.job.plan.method}-{self._digest}"

    @property
    def _digest(self) -> str:
        return hashlib.blake2b(repr(self.job).encode("utf-8", "replace"), digest_size=4).hexdigest()

    @property
    def storage(self) -> str:
        """The bucket, volume or claim. Raises UserError for an invalid name."""
        found = self.options.storage or STORAGE
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", found):
            raise UserError(f"storage {found!r} is no name; take 3 to 63 lower-case letters, digits and -", "storage")
        return found

    @property
    def gpus(self) -> int:
        """GPUs; 0 for a job on a CPU."""
        return self.job.plan.processes if self.job.device == "cuda" else 0

    @property
    def per_node(self) -> int:
        """Processes on each box. Raises UserError if they can't be divided among the boxes."""
        count, boxes = self.job.plan.processes, self.options.nodes
        if count % boxes:
            fix = f"set processes to a multiple of {boxes}"
            raise UserError(f"nodes: {count} processes can't be divided among {boxes} boxes; {fix}", "nodes")
        return count // boxes

    @property
    def requirements(self) -> tuple[str, ...]:
        """What `pip install` takes there."""
        return pinned.requirements(self.options.package)

    @property
    def seconds(self) -> int | None:
        """What the run is given: the longest predicted time with a margin; None if no time is predicted."""
        said = self.job.predicted
        hours = said and (said.hours_high or said.hours)
        return math.ceil((hours * TIME_MARGIN + START_HOURS) * 3600 / 60) * 60 if hours else None

    @property
    def budget_usd(self) -> float | None:
        """Most that the run may cost: as the launch says, else as it was planned for."""
        if self.options.budget_usd is not None:
            return self.options.budget_usd
        return self.job.predicted.budget_usd if self.job.predicted else None

    @property
    def hourly_usd(self) -> float | None:
        """What an hour may cost, so that the run stays within its budget even if it and its start take longest."""
        said = self.job.predicted
        hours, budget = said and (said.hours_high or said.hours), self.budget_usd
        return max(0.01, round(budget / (hours + START_HOURS), 2)) if budget and hours else None

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """The files of model, data, adapter and general text that are on this box."""
        job, options = self.job, self.options
        found = (
            _upload(job.model, "model", options.model_there),
            _upload(job.data, "data", options.data_there),
            _upload(job.adapter, "adapter", None) if job.adapter else None,
            _upload(job.plan.general_data, "general_data", None),
        )
        return tuple(x for x in found if x is not None)

    def train_options(self, inputs: str | None) -> list[str]:
        """The options of `fttui train` on the other box, besides the plan.

        `inputs` is the folder that uploads lie in; None if this box's paths hold there too.
        """
        job, options = self.job, self.options
        words = ["--model", _there(job.model, "model", options.model_there, inputs)]
        words += ["--data", _there(job.data, "data", options.data_there, inputs)]
        if job.adapter:
            words += ["--adapter", _there(job.adapter, "adapter", None, inputs)]
        if job.plan.general_data:
            words += ["--set", f"general_data={_there(job.plan.general_data, 'general_data', None, inputs)}"]
        if job.adapter_is_merged and job.plan.method != "full":
            words += ["--set", f"rank={job.plan.rank}"]  # a set rank makes the other box merge the adapter too
        for one in job.mapping:
            words += ["--mapping", one]
        if self.budget_usd is not None:
            words += ["--budget", f"{self.budget_usd:g}"]
        if job.predicted and job.predicted.price_usd_per_hour is not None:
            words += ["--price", f"{job.predicted.price_usd_per_hour:g}"]
        return words

    @property
    def files(self) -> dict[str, str]:
        """Small files inside the launch file: the plan as a preset, so that nothing is chosen again on the other box.

        Names and texts; a dollar sign is an escape in them, since engines replace ${{ }} and $( ) in their files.
        """
        plan = dataclasses.replace(self.job.plan, general_data="")  # an option of the command has its path there
        texts = {PLAN: tomlkit.dumps(dataclasses.asdict(plan))}
        if self.job.added_tokens:
            texts[TOKENS] = json.dumps(self.job.added_tokens) + "\n"
        return {name: text.replace("$", "\\u0024") for name, text in texts.items()}


def refuse(job: Job) -> None:
    """Raise UserError for a job that can be planned but not trained."""
    if not job.data:
        raise UserError(
            "there is no data yet, only its size: training needs a file, a folder, a hub id or demo", "data"
        )


def is_local(reference: str) -> bool:
    """Whether the model or the data is on this box, rather than a name on the hub or `demo`."""
    return Path(reference).is_absolute()


def _upload(reference: str, role: str, there: str | None) -> Upload | None:
    if there is not None or not is_local(reference):
        return None
    path = Path(reference)
    is_file = role in ("data", "general_data") and not path.is_dir()
    suffix = "".join(re.findall(r"\.[A-Za-z0-9]{1,10}", path.name)[-2:]) if is_file else ""
    return Upload(reference, role + suffix)


def _there(reference: str, role: str, there: str | None, inputs: str | None) -> str:
    upload = _upload(reference, role, there)
    if upload is None or inputs is None:
        return there or reference
    return f"{inputs}/{upload.name}"
