"""From data and plan to a session that is ready for its next step: load, check, resume from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from backend import typed
from backend.data.prepare import Prepared
from backend.errors import TrainingFailed, UserError
from backend.plan.counts import total_steps
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.events import FindingReported, Replanned
from backend.run.folder import RunFolder
from backend.training import (
    checks,
    cpu_formats,
    kernel_choice,
    kernels,
    loading_progress,
    locate,
    methods,
    own_base,
    relief,
    rng,
)
from backend.training.advice import would_fit
from backend.training.attention import rows as packed
from backend.training.batches import Row
from backend.training.journal import Journal, likely_cause_of_nan
from backend.training.meters.progress import Pace, RunProgress
from backend.training.optim import optimizers
from backend.training.optim.resharding import Resharded, rows
from backend.training.optim.states import Values
from backend.training.order import Order
from backend.training.parallel import sharding
from backend.training.parallel.execution import Execution
from backend.training.parallel.ranks import Ranks
from backend.training.report import Report
from backend.training.saving import checkpoint, own_tokenizer, result
from backend.training.saving.checkpoint import Checkpoint
from backend.training.session import Session, restored
from backend.training.start import Start


def begin(
    folder: RunFolder, job: Job, model_folder: Path, data: Prepared, report: Report, began: float, ranks: Ranks
) -> Session:
    """Load the model, and resume from the newest good checkpoint if there is one.

    `began` is the `time.perf_counter()` at which this process began with the run.
    """
    for one in data.findings:
        report.event(FindingReported(severity=one.severity, text=one.text, fix=one.fix))
    found, skipped = ranks.of_first(checkpoint.newest(folder.checkpoints) if ranks.is_first else (None, []))
    for text in skipped:
        report.warn(text)
    if skipped and found is None:
        raise _all_damaged(folder, skipped)
    past = found.state(ranks.rank) if found else {}
    progress = typed.convert(past["progress"], RunProgress) if found else RunProgress(data=data.fingerprint)
    _check_data(progress, data, report)
    if job.device == "cpu" and ranks.is_first:
        cpu_formats.note_bf16_gain(job.plan, report)
    rng.seed(job.plan.seed)
    progress.adjusted |= folder.adjusted()
    execution = Execution(restored(job.plan, progress), job.device, ranks=ranks)
    start = own_base.start(job, model_folder, folder.path)
    execution, loaded = _load(execution, job, model_folder, start, progress, report)
    rng.seed_rank(job.plan.seed, ranks.rank)
    order = Order(len(data.train), job.plan)
    measures = job.plan.measure_kernels and job.plan.objective == "sft"
    first = [data.train[int(i)] for i in order.rows_of(0)] if measures else []
    ready = partial(_ready, execution, loaded, found, past, first, job.device_name, report)
    made = relief.attempt(ready, report, progress.step, "getting ready for the first step", ranks)
    if not made:
        raise TrainingFailed(f"memory ran out before the first step; {would_fit(job, execution.plan)}")
    execution, updater = made[0]
    plan = execution.plan
    if plan.kernels != job.plan.kernels:
        progress.adjusted |= {"kernels": plan.kernels}
    pace = Pace.of(plan, total_steps(len(data.train), plan))
    tokenizer = result.tokenizer_of(model_folder, data.chat_template)
    if own_tokenizer.differs(tokenizer, model_folder):
        report.warn(
            f"transformers ({type(tokenizer).__name__}) splits texts otherwise than this model's tokenizer.json, which "
            "is trained with and saved: serve it with what reads tokenizer.json as it is"
        )
    return Session(
        folder=folder,
        job=job,
        execution=execution,
        report=report,
        data=data,
        tokenizer=tokenizer,
        loaded=loaded,
        updater=updater,
        progress=progress,
        order=order,
        pace=pace,
        journal=Journal(report, progress, pace, job.device, likely_cause_of_nan(plan), ranks),
        saved_step=found.manifest.step if found else None,
        started=began - progress.seconds,
    )


def _check_data(progress: RunProgress, data: Prepared, report: Report) -> None:
    """Raise TrainingFailed if the next steps would have other rows than an undisturbed run's.

    Validation rows that have changed are a warning, and are those of the run from now on.
    """
    if not same_data(progress.data, data.fingerprint):
        raise TrainingFailed("the data or the tokenizer has changed since the checkpoint; start a new run")
    had, has = progress.validation, data.validation
    if had is not None and bool(had) != bool(has):
        what, fix = ("is gone", "put it back") if had else ("is new", "take it away")
        raise TrainingFailed(
            f"the validation split beside the training rows {what} since the checkpoint, so that other rows would be "
            f"trained on; {fix}, or start a new run"
        )
    if had and had != has:
        report.warn("the validation rows have changed since the checkpoint: held-out losses before it are of others")
    progress.validation = has


def same_data(saved: str, now: str) -> bool:
    """Whether the checkpoint's fingerprint is that of the data now; earlier versions saved only its beginning."""
    return f"{now} ".startswith(f"{saved} ")


def _all_damaged(folder: RunFolder, skipped: list[str]) -> UserError:
    """The error if no checkpoint is undamaged: beginning at step 0 silently would discard what was trained."""
    which = "its checkpoint is damaged" if len(skipped) == 1 else f"all its {len(skipped)} checkpoints are damaged"
    return UserError(
        f"run {folder.name} can't go on: {which}; restore {folder.checkpoints} from a copy, or "
        f"`fttui resume {folder.name} --from-start` trains it again from step 0",
        "run",
    )


def _load(
    execution: Execution, job: Job, model_folder: Path, start: Start, progress: RunProgress, report: Report
) -> tuple[Execution, methods.Loaded]:
    """Load the model; if memory runs out twice and no step is made yet, with smaller weights.

    Raises TrainingFailed with a sentence that says what would fit.
    """
    while True:
        load = partial(methods.load, model_folder, locate.base_name(job, model_folder), execution, start)
        with loading_progress.reported_to(partial(report.progress, "weights")):
            done = relief.twice(load, report, progress.step, relief.LOADING, execution.ranks)
        if done:
            return execution, done[0]
        before = execution.plan
        found = relief.leaner_weights(before) if progress.step == 0 else None
        if found is None:
            raise TrainingFailed(f"memory ran out while the model was loaded; {would_fit(job, before)}")
        plan, change = found
        execution = replace(execution, plan=plan)
        progress.adjusted |= relief.changes(before, plan)
        text = f"loads with less memory: {change}"
        report.event(Replanned(step=progress.step, changed=relief.changes(before, plan), text=text))


def _ready(
    execution: Execution,
    loaded: methods.Loaded,
    found: Checkpoint | None,
    past: dict[str, Any],
    first: Sequence[Row],
    device_name: str,
    report: Report,
) -> tuple[Execution, optimizers.Updater]:
    """The execution with what this model can do, and the optimizer in the state of the checkpoint `found`.

    `first`: the rows of the first step, which kernels are timed on; none if they are not.
    """
    kernels.prepare(execution)
    execution = _suited(execution, loaded, report)
    if found:
        execution = replace(execution, plan=replace(execution.plan, measure_kernels=False))
    plan = kernel_choice.settle(execution, loaded, first, device_name, report)
    execution = kernel_choice.compiled(replace(execution, plan=plan), loaded, report)
    updater = optimizers.updater(loaded.trainable(), execution)
    _say_what_differs(execution.plan, updater, report)
    if found:
        _resume(found, past, loaded, updater, execution, report)
    return execution, updater


def _suited(execution: Execution, loaded: methods.Loaded, report: Report) -> Execution:
    """The execution without what this model does not support; the log says what that is."""
    plan = execution.plan
    if plan.attention != loaded.attention:
        report.warn(f"this model has no {plan.attention} attention; {loaded.attention} is used")
        plan = replace(plan, attention=loaded.attention)  # type: ignore[arg-type]
    if plan.attention == "varlen" and not _takes_bounds(loaded, replace(execution, plan=plan)):
        if plan.packing:
            report.warn("this model or GPU can't take packed rows by their bounds: they are kept apart with a mask")
        loaded.network.set_attn_implementation("sdpa")
        plan = replace(plan, attention="sdpa")
    packs = plan.packing and checks.packs(loaded.network, replace(execution, plan=plan))
    if plan.packing and not packs:
        report.warn("this model can't keep packed rows apart, so that each row is a sequence of its own")
        plan = replace(plan, packing=False)
    if plan.chunked_loss and not checks.can_chunk(loaded.network, replace(execution, plan=plan)):
        report.warn("this model's head is not a plain linear layer, so that its logits are held whole")
        plan = replace(plan, chunked_loss=False)
    return replace(execution, plan=plan, flat=packs and plan.attention in ("flash_attention_2", "varlen"))


def _takes_bounds(loaded: methods.Loaded, execution: Execution) -> bool:
    return packed.has_kernel(execution.device) and checks.takes_bounds(loaded.network, execution)


def _say_what_differs(plan: Plan, updater: optimizers.Updater, report: Report) -> None:
    in_backward = isinstance(updater, optimizers.InBackward)
    if plan.optimizer_in_backward and not in_backward and plan.precision == "float16":
        report.warn("float16 needs all gradients at once for its loss scale: the optimizer steps after the backward")
    if in_backward and plan.max_grad_norm:
        report.say("the optimizer steps in the backward pass: gradients are clipped by the norm of the step before")


def _resume(
    found: Checkpoint,
    state: dict[str, Any],
    loaded: methods.Loaded,
    updater: optimizers.Updater,
    execution: Execution,
    report: Report,
) -> None:
    weights, step = found.weights(), found.manifest.step
    for name, parameter in loaded.trainable().items():
        sharding.fill(parameter, weights[name])
    ranks, before = execution.ranks, found.manifest.ranks
    if execution.plan.method == "full" and before != ranks.count:
        _adopt(found, loaded, updater, ranks)
    else:
        updater.load_state_dict(state["updater"] if "updater" in state else found.state()["updater"])
    if ranks.rank < before:
        rng.restore(state["rng"])
    else:  # the checkpoint has no generators of this rank: seed it apart from the others
        rng.seed_rank(execution.plan.seed + step, ranks.rank)
    report.say(f"goes on from the checkpoint of step {step}")
    if before != ranks.count:
        report.say(f"it was written by {before} device{'s' * (before > 1)}, and {ranks.count} go on")


def _adopt(found: Checkpoint, loaded: methods.Loaded, updater: optimizers.Updater, ranks: Ranks) -> None:
    """Take over optimizer states that another number of ranks has saved: the rows of each weight that this rank has."""
    states = [state["updater"] for state in found.states()]
    parameters = loaded.trainable()
    saved = Resharded(states, parameters)

    def own(name: str) -> Values:
        return saved.of(name, rows(len(parameters[name]), ranks.count, ranks.rank))

    updater.adopt(states[0], own)
