"""`fttui launch`: the same plan on an engine elsewhere."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backend import paths, presets
from backend.answers import Answers, Method
from backend.errors import UserError
from backend.launch.targets import submit as handing
from backend.launch.targets.launch_file import launch_file, module_of
from backend.launch.targets.spec import LaunchSpec, Options
from backend.plan.job import Job
from backend.planner import jobs, situation
from backend.run import plan_file
from tui import command_line, starting
from tui.commands import train
from tui.commands.options import Shared
from tui.plain import plain

Flag = Annotated[bool, Parameter(negative=())]


def launch(
    preset: str | None = None,
    *,
    on: str,
    method: Method | None = None,
    answers: Shared = Answers(),  # noqa: B008  (a frozen dataclass)
    out: Path | None = None,
    submit: Flag = False,
    storage: str | None = None,
    package: str | None = None,
    model_there: str | None = None,
    data_there: str | None = None,
    anyway: Flag = False,
) -> int:
    """Write the file with which an engine trains this plan elsewhere, or submit it. A job that is restarted resumes.

    For example:

        fttui launch --on skypilot --gpu A100-80GB --model meta-llama/Llama-3.1-8B --data rows.jsonl --budget 40
        fttui launch solo-qlora --on slurm --gpu 4090 --model ./my-model --data rows.jsonl --out job.sbatch
        fttui launch ~/.local/share/fttui/runs/20261124-101500-demo-lora/plan.toml --on ssh:box --submit

    Args:
        preset: A preset's name or file, or the plan.toml of a run; options override a preset.
        on: ssh:HOST, slurm, skypilot, dstack, kubeflow or torchrun.
        method: lora, qlora or full; by default the preset's, or the recommended one.
        out: The file to write; without it, and without --submit, it is printed.
        submit: Submit it through the engine's own client (ssh, sbatch, sky, dstack, kubectl), or
            by bash (torchrun).
        storage: What outlives the machine: a bucket (skypilot), a volume (dstack), a claim (kubeflow), or a folder
            (slurm, torchrun).
        package: What pip installs as fttui there, such as a URL or a wheel; by default this version.
        model_there: Where the model is on the other box, if it is there already.
        data_there: Where the data is on the other box, if it is there already.
        anyway: Even if it is predicted not to fit, or to cost more than the budget.
    """
    module_of(on)  # a wrong engine is refused before anything is planned
    job = _own_plan(preset, method, answers) or _planned(preset, method, answers, anyway, elsewhere=on != "torchrun")
    options = Options(answers.budget_usd, storage, package, model_there, data_there, answers.nodes or 1)
    text, spec = launch_file(job, on, options), LaunchSpec(job, options)
    if submit:
        handing.refuse_missing_client(on)
    elif out is None:
        sys.stdout.write(plain(text, limit=len(text)) if sys.stdout.isatty() else text)  # written to a file unchanged
        return 0
    file = handing.save(text, on, spec, out)
    print(plain(str(file), lines=False), flush=True)
    return handing.submit(file, on, spec) if submit else 0


def _own_plan(reference: str | None, method: Method | None, answers: Answers) -> Job | None:
    """The job of a run's plan.toml; None for anything else. Raises UserError for options that would change it."""
    path = paths.existing(reference, "preset") if reference else None
    if path is None or path.name != "plan.toml":
        return None
    said = command_line.options(replace(answers, budget_usd=None, nodes=None))
    if method or said:
        option = "--method" if method else said[0]
        raise UserError(f"{option} can't change {path}, which is launched as it was planned; leave it out", "preset")
    return plan_file.read(path)


def _planned(preset: str | None, method: Method | None, answers: Answers, anyway: bool, *, elsewhere: bool) -> Job:
    start = presets.load(preset) if preset is not None else None
    if start:
        answers = presets.merged(start, answers)
    wanted = train.method_of(method, answers, start)
    comparison = situation.predict(answers, start)
    starting.refuse_anywhere(comparison)
    if elsewhere and comparison.device.kind == "cpu" and answers.gpu is None:
        raise UserError("this box has no GPU to plan for: name the other box's with --gpu NAME, or --gpu cpu", "gpu")
    chosen = train.chosen(comparison, wanted, anyway)
    if answers.output:
        said = f"--output {answers.output} is a folder of this box; leave it out: the result stays in the run there"
        raise UserError(said, "output")
    if start and (said := presets.changes(start, comparison, comparison.methods[chosen])):
        print(plain(said, lines=False), file=sys.stderr)
    return jobs.job(comparison, chosen, start.name if start else None)
