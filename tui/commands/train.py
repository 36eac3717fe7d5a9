"""`fttui train` and `fttui resume`: headless, plain lines or JSON events."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from backend import paths, presets
from backend.answers import Answers, Method
from backend.errors import DoesNotFit, UserError
from backend.launch.targets import ssh
from backend.plan import fields
from backend.plan.plan import ADAPTER_ONLY, FULL_ONLY
from backend.plan.preset import Preset
from backend.planner import jobs, rules, situation
from backend.planner.estimates import Comparison
from backend.run.folder import RunFolder, all_runs
from backend.run.history import read
from tui import findings, starting
from tui.commands.options import Shared
from tui.plain import plain

_WIDTH = 78
_ARRANGED = ("attention", "packing", "processes", "quantization")
"""Plan fields that the planner may settle otherwise than they were set; none of them changes what is learned."""
Flag = Annotated[bool, Parameter(negative=())]


def train(
    preset: str | None = None,
    *,
    method: Method | None = None,
    answers: Shared = Answers(),  # noqa: B008  (a frozen dataclass)
    json: Flag = False,
    detach: Flag = False,
    anyway: Flag = False,
    or_resume: Flag = False,
) -> int:
    """Train headless: from a preset, or from options. Ctrl+C stops at the next step with a checkpoint (exit code 130).

    For example:

        fttui train demo
        fttui train --model ./my-model --data rows.jsonl --method lora --set rank=32
        fttui train solo-qlora --model meta-llama/Llama-3.1-8B --data rows.jsonl --detach

    Args:
        preset: A preset's name or file; options override it.
        method: lora, qlora or full; by default the preset's, or the recommended one.
        json: Print the run's events as JSON lines instead of plain lines.
        detach: Give the shell back and train in the background.
        anyway: Start even if it is predicted not to fit, or to cost more than the budget.
        or_resume: Resume the run that this same command started before, if there is one, so that a scheduler can
            restart it. The exit code is 75 if a signal stopped it with a checkpoint.
    """
    from tui import headless

    start = presets.load(preset) if preset is not None else None
    if start:
        answers = presets.merged(start, answers)
    wanted = method_of(method, answers, start)
    if or_resume and (begun := _begun(start, answers, wanted)):
        return _go_on(begun, json)
    comparison = situation.predict(answers, start)
    starting.refuse(comparison)
    taken = chosen(comparison, wanted, anyway)
    if start and (said := presets.changes(start, comparison, comparison.methods[taken])):
        print(plain(said, lines=False), file=sys.stderr)
    _warn(comparison, taken)
    folder = RunFolder.create(jobs.job(comparison, taken, start.name if start else None))
    return headless.run(folder, as_json=json, detach=detach, may_go_on=or_resume)


def _begun(start: Preset | None, answers: Answers, method: Method | None) -> RunFolder | None:
    """The newest run of this model and data, by this method, with the settings of the preset and of the command."""
    said = {str(paths.expanded(x).absolute()) for x in (answers.model, answers.data)} | {answers.model, answers.data}
    pinned = rules.pin(answers, start).values
    settings = {key: value for key, value in pinned.items() if key not in _ARRANGED}
    if settings.get("general_data"):
        settings["general_data"] = jobs.absolute(settings["general_data"])
    settings |= {"method": method} if method else {}
    others = (answers.mapping, jobs.output(answers))

    def is_it(folder: RunFolder) -> bool:
        try:
            job = folder.job()
        except UserError:  # damaged
            return False
        not_for_it = ADAPTER_ONLY if job.plan.method == "full" else FULL_ONLY
        same = all(getattr(job.plan, key) == value for key, value in settings.items() if key not in not_for_it)
        return same and (job.mapping, job.output) == others and {job.model, job.data} <= said

    return next((folder for folder in all_runs() if is_it(folder)), None)


def _go_on(folder: RunFolder, json: bool) -> int:
    """Resume a run that a scheduler has started again; one that is done stays so."""
    from tui import headless

    if folder.is_alive():
        raise UserError(f"run {folder.name} is being trained now; each job needs a FTTUI_HOME of its own", "run")
    if read(folder.events_file).state == "done":
        print(plain(f"run {folder.name} is done", lines=False), file=sys.stderr if json else sys.stdout)
        return 0
    return headless.run(folder, as_json=json, may_go_on=True)


def _warn(comparison: Comparison, method: Method) -> None:
    """Print on standard error the warnings that the wizard shows before a start."""
    for one in starting.warnings(comparison, method):
        lines = [one] if isinstance(one, str) else findings.lines([one], _WIDTH)
        print(*(plain(line, lines=False) for line in lines), sep="\n", file=sys.stderr)


def resume(
    run: str | None = None,
    *,
    from_start: Flag = False,
    processes: int | None = None,
    json: Flag = False,
    detach: Flag = False,
) -> int:
    """Resume a paused, stopped or interrupted run from its last good checkpoint, in the foreground until it ends.

    For example:

        fttui resume
        fttui resume 20261124-101500-demo-lora
        fttui resume --processes 2                         # on two GPUs, however many it began on

    Args:
        run: The run's name or a part of it; by default the latest. ssh:HOST[:RUN] for one on another box, in the
            background there.
        from_start: Train it again from step 0; its old checkpoints are moved aside, not deleted.
        processes: Continue with this many processes, each on a device of its own; by default as many as before.
        json: Print the run's events as JSON lines instead of plain lines.
        detach: Give the shell back and train in the background.
    """
    from tui import headless

    if run and run.startswith(ssh.PREFIX):
        host, name = ssh.split(run)
        if json:
            shows = f"`fttui watch {run}` shows it"
            raise UserError(f"json: a run on another box goes on in the background there; {shows}", "json")
        words = ["fttui", "resume", *([name] if name else []), "--detach", *(["--from-start"] if from_start else [])]
        return ssh.call(host, [*words, *(["--processes", str(processes)] if processes is not None else [])])
    folder = RunFolder.find(run)
    if folder.is_alive():
        raise UserError(f"run {folder.name} is being trained now; `fttui watch {folder.name}` shows it", "run")
    if read(folder.events_file).state == "done":
        raise UserError(f"run {folder.name} is done; there is nothing to resume", "run")
    folder.job()  # refused here if it can't be read
    if processes is not None:
        from backend.launch import processes as numbers

        numbers.change(folder, processes)
    if from_start and (aside := folder.start_again()):
        print(plain(f"its checkpoints are kept in {aside}", lines=False), file=sys.stderr)
    return headless.run(folder, as_json=json, detach=detach)


def method_of(option: Method | None, answers: Answers, preset: Preset | None) -> Method | None:
    """The method that was asked for: by --method or --set, else by the preset.

    Raises UserError if --method and --set say two, and for settings that do not go with --method.
    """
    own, pinned = fields.parse_settings(answers.set), rules.pin(answers, preset).values
    if option:
        fields.set_once(own, "method", option)
        rules.refuse_contradictions(option, {**pinned, "method": option})
    said: Method | None = own.get("method") or pinned.get("method")
    return said


def chosen(comparison: Comparison, wanted: Method | None, anyway: bool) -> Method:
    """The method to train. Raises DoesNotFit if it is predicted not to fit or to cost too much, unless `anyway`."""
    method = wanted or comparison.recommended
    if method is None:
        if not anyway:
            reasons = " ".join(comparison.reasons)
            raise DoesNotFit(f"{reasons} --anyway starts it nevertheless, with --method.", "method")
        raise UserError("--anyway needs --method lora, qlora or full, as none is recommended", "method")
    seen = comparison.methods[method]
    obstacles = (*seen.obstacles, *seen.suggestions)
    if obstacles and not anyway:
        raise DoesNotFit(f"{rules.title(method)}: {' '.join(obstacles)} --anyway starts it nevertheless.", "method")
    return method
