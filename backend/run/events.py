"""What a run reports: one type per event of `events.jsonl`, which `train --json` prints line by line.

`docs/events.md` is made from the docstrings here (`python -m tests.backend.run.events_page > docs/events.md`). Every
field has a default, so that events of other versions can be read: missing fields take it, unknown ones are ignored.
Names in the file differ from these only if `name=` says so. This one file is the whole protocol.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

Time: TypeAlias = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""Unix seconds, up to the year 9999, the last that `datetime` has."""
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**62)]
"""Steps, rows, tokens, parameters or bytes; a larger value means that the line is damaged."""
PlanChanges: TypeAlias = dict[str, int | bool | float | str]
"""Plan fields and their new values."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", gc=False):
    """The field that all events have."""

    t: Time = 0.0
    """Unix seconds at which it was written; 0 in an event that is not written yet."""

    def left_out_if_none(self) -> frozenset[str]:
        """Names in the file of the fields that a line leaves out if they are None; any other None is a null."""
        return frozenset()


class PredictedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The prediction that was shown before the start."""

    peak_bytes: Count = 0
    """Peak memory of the whole process on the device, in bytes: allocated, the allocator's slack, the CUDA context."""
    peak_allocated_bytes: Count = 0
    """The part of it that torch's allocator has handed out, in bytes."""
    device_bytes: Count = 0
    """Memory of one device in bytes."""
    hours: float | None = None
    """Hours of the whole run; null, like all times, if the device's speed is not known."""
    hours_low: float | None = None
    """Lower end of the interval of `hours`."""
    hours_high: float | None = None
    """Upper end of the interval of `hours`."""
    tokens_per_second: float | None = None
    """Tokens per second of the training steps, padding not counted."""
    cost_usd: float | None = None
    """USD of the whole run; null if there is no price."""
    price_usd_per_hour: float | None = None
    """USD per hour of one device; null if there is none."""
    budget_usd: float | None = None
    """The most that the run may cost in USD, set by the user; null for no limit."""
    phases: dict[str, Count] = {}
    """Peak bytes by phase (`load`, `train`, `eval` ...), as `measured` has them at the end."""
    corrected_by_runs: Count = 0
    """Finished runs on this machine that corrected these figures."""
    uncorrected: dict[str, Any] | None = None
    """The prediction of the formulas alone, without corrections, as in `plan.toml`."""
    trainable_parameters: Count | None = None
    """Parameters that train, as planned."""


class PhasePeak(msgspec.Struct, kw_only=True):
    """One phase, over all its stretches. Bytes are torch's on a GPU, and the process's resident memory on a CPU."""

    peak_bytes: Count = 0
    """Highest use in bytes."""
    reserved_bytes: Count = 0
    """Highest use in bytes with what the allocator keeps for itself."""
    rest_bytes: Count = 0
    """Bytes in use at the end of its first stretch: after `load` the weights, after `train` optimizer states too."""
    seconds: float = 0.0
    """Seconds in this phase."""
    times: Count = 0
    """How many times the phase was entered."""


_KNOWN_WHEN_LOADED = frozenset(
    ("total_steps", "train_rows", "eval_rows", "dropped_rows", "truncated_rows", "trainable_parameters")
)


class RunStarted(Event, tag="run_started", frozen=True, kw_only=True):
    """An attempt to train begins: written immediately, and again with all its fields when the model is loaded.

    A resumed run writes these events again; the steps that it repeats after its checkpoint replace the earlier ones.
    """

    model: str = ""
    """The model as the user named it."""
    data: str = ""
    """The data as the user named it."""
    method: str = ""
    """`lora`, `qlora` or `full`."""
    device: str = ""
    """`cuda` or `cpu`."""
    device_name: str = ""
    """The device's name for people."""
    epochs: float | None = None
    """Passes over the training rows."""
    plan: dict[str, Any] = {}
    """All settings; names as in `plan.toml` and `--set`."""
    predicted: PredictedFigures | None = msgspec.field(name="foreseen", default=None)
    """What was predicted; null if nothing was."""
    versions: dict[str, str] = {}
    """Package -> version, and Python's."""
    step: Count = 0
    """Step of the checkpoint that training starts from; 0 for a new run."""
    total_steps: Count | None = None
    """Optimizer steps of the whole run."""
    train_rows: Count | None = None
    """Rows to train on."""
    eval_rows: Count | None = None
    """Held-out rows."""
    dropped_rows: Count | None = None
    """Rows left out because they have nothing to learn from."""
    truncated_rows: Count | None = None
    """Rows cut at `max_length`."""
    trainable_parameters: Count | None = None
    """Parameters that train."""

    def left_out_if_none(self) -> frozenset[str]:
        """The fields that are known only once data and model are loaded."""
        return _KNOWN_WHEN_LOADED


class PhaseStarted(Event, tag="phase", frozen=True, kw_only=True):
    """Another phase of the run begins."""

    name: str = ""
    """`data`, `load`, `kernels`, `eval`, `forgetting`, `sample`, `task`, `train`, `checkpoint` or `save`."""


class PhaseProgress(Event, tag="progress", frozen=True, kw_only=True):
    """How far the current phase is; at most about twice a second, and not for phases that are shorter than that."""

    what: str = ""
    """What is counted: `weights`, `rows`, `questions`."""
    done: Count = 0
    """How many of them are done."""
    total: Count = 0
    """How many there are; 0 if that is not known."""


class CpuReading(Event, tag="cpu", frozen=True, kw_only=True):
    """Use of the processor, about once a second, for a run on a CPU."""

    load_percent: float | None = None
    """Percent of all cores in use, by all programs."""
    own_percent: float | None = None
    """Percent of all cores that this run uses."""
    cores: Count = 0
    """Logical cores."""


class DevicesTimed(Event, tag="devices", frozen=True, kw_only=True):
    """How long each of several devices computes in a step before it waits for the others, averaged over some steps."""

    step: Count = 0
    """The last of these steps."""
    busy_seconds: list[float] = []
    """Mean seconds a step by device, from the first; the slowest has the most."""


class StepDone(Event, tag="step", frozen=True, kw_only=True):
    """One optimizer step. On a GPU the steps of about a second are written together."""

    step: Count = 0
    """Number of the step, from 1."""
    total_steps: Count = 0
    """Optimizer steps of the whole run."""
    epoch: float | None = None
    """Passes over the training rows so far."""
    loss: float | None = None
    """Mean cross-entropy in nats per target token; null if it is not finite, and the step was skipped."""
    learning_rate: float | None = None
    """Learning rate of this step."""
    grad_norm: float | None = None
    """Norm of all gradients before clipping; null if it is not finite."""
    tokens: Count | None = None
    """Tokens of this step on all devices, padding not counted."""
    scored_tokens: Count | None = None
    """Target tokens among them: those that the loss counts."""
    tokens_per_second: float | None = None
    """`tokens` over `step_seconds`."""
    step_seconds: float | None = None
    """Seconds that the step took."""
    eta_seconds: float | None = None
    """Seconds to the end of the run, with evaluations and checkpoints that are still to come."""
    spent_usd: float | None = None
    """USD spent so far, all attempts together."""

    def left_out_if_none(self) -> frozenset[str]:
        """The money spent, if there is no price."""
        return frozenset(("spent_usd",))


class MemoryReading(Event, tag="memory", frozen=True, kw_only=True):
    """Memory in use, about once a second."""

    kind: str = ""
    """`cuda`: torch's allocator; `rss`: the process's resident memory, on a CPU."""
    allocated_bytes: Count = 0
    """Bytes in use now."""
    reserved_bytes: Count = 0
    """Bytes that the allocator holds now; as `allocated_bytes` on a CPU."""
    peak_bytes: Count = 0
    """Highest use in bytes of this attempt so far."""
    peak_reserved_bytes: Count | None = None
    """Highest `reserved_bytes` so far; on a GPU only."""
    device_bytes: Count = 0
    """Memory of the GPU, or of the machine on a CPU, in bytes."""
    phase: str = ""
    """The phase it was read in."""

    def left_out_if_none(self) -> frozenset[str]:
        """The fields that only a GPU has."""
        return frozenset(("peak_reserved_bytes",))


class GpuReading(Event, tag="gpu", frozen=True, kw_only=True):
    """Readings of the GPU's driver, about once a second; null for those that it refuses."""

    utilisation_percent: float | None = None
    """Percent of the time in which a kernel ran."""
    temperature_c: float | None = None
    """Degrees Celsius."""
    power_watts: float | None = None
    """Watts."""
    used_bytes: Count | None = None
    """Bytes of the card that all programs hold together."""


class Evaluated(Event, tag="eval", frozen=True, kw_only=True):
    """The loss on the held-out rows."""

    step: Count = 0
    """Steps done so far; 0 before training."""
    loss: float | None = None
    """Mean cross-entropy in nats per target token, or the loss of preference training; null if it is not finite."""
    perplexity: float | None = None
    """exp(`loss`); null if it is not finite."""
    seconds: float | None = None
    """Seconds that the evaluation took."""
    reward_margin: float | None = None
    """Preference training: mean reward of the better answers less that of the worse ones."""
    reward_accuracy: float | None = None
    """Preference training: share of the held-out preferences that the model rates as the data does."""

    def left_out_if_none(self) -> frozenset[str]:
        """The fields that only preference training has."""
        return frozenset(("reward_margin", "reward_accuracy"))


class Sampled(Event, tag="sample", frozen=True, kw_only=True):
    """The model's answer to a question from the held-out rows, or to one of the user's own."""

    step: Count = 0
    """Steps done so far; 0 before training."""
    prompt: str = ""
    """The question."""
    text: str = ""
    """The model's answer."""
    wanted: str | None = None
    """The answer in the data; null for the user's own questions."""


class CheckpointSaved(Event, tag="checkpoint", frozen=True, kw_only=True):
    """A checkpoint is on disk, whole."""

    path: str = ""
    """Its folder."""
    step: Count = 0
    """The step after which a run that resumes from it continues."""
    bytes: Count | None = None
    """Its size in bytes."""


class OutOfMemory(Event, tag="oom", frozen=True, kw_only=True):
    """Memory ran out; what follows says what was done about it."""

    step: Count = 0
    """Steps done so far."""
    during: str = ""
    """What was being done."""
    text: str = "out of memory"
    """A sentence for people, with the allocator's own words."""


class Replanned(Event, tag="replanned", frozen=True, kw_only=True):
    """Settings changed because memory ran out or the user asked for it; the effective batch never changes."""

    step: Count = 0
    """Steps done so far."""
    changed: PlanChanges = {}
    """Plan fields and their new values."""
    text: str = "re-planned"
    """A sentence for people."""


class Logged(Event, tag="log", frozen=True, kw_only=True):
    """A sentence for people."""

    level: str = "info"
    """`info`, `warning` or `error`."""
    text: str = ""
    """The sentence."""


class PhasesMeasured(Event, tag="measured", frozen=True, kw_only=True):
    """What each phase of this attempt took; written when it ends with a result, a stop or a pause."""

    kind: str = ""
    """`cuda` or `rss`, as in `memory`."""
    as_planned: bool = False
    """The trainer kept every setting of the plan, so that the figures can be compared with the predicted ones."""
    phases: dict[str, PhasePeak] = {}
    """Name of the phase -> its figures."""
    context_bytes: Count | None = None
    """Bytes on the GPU outside torch's allocator (the CUDA context); null on a CPU, or if the driver does not say."""


class Calibrated(Event, tag="calibration", frozen=True, kw_only=True):
    """Whether this run corrects the next prediction on this machine."""

    kept: bool = False
    """It does."""
    reason: str | None = None
    """Why it does not; null if it does."""


class ForgettingMeasured(Event, tag="forgetting", frozen=True, kw_only=True):
    """How far the model has moved from the base model on text that it is not trained on: one event for each part.

    Both losses are of the same tokens: a slice of the part during training, the whole part before and after it.
    """

    step: Count = 0
    """Steps done so far."""
    part: str = ""
    """Which text."""
    loss: float | None = None
    """Mean cross-entropy now, in nats per token."""
    base_loss: float | None = None
    """Mean cross-entropy of the base model on the same tokens, in nats per token."""
    kl: float | None = None
    """Mean Kullback-Leibler divergence KL(base, now) of the next-token predictions, in nats per token. For full
    fine-tuning, over the base's most likely tokens and all others as one, which is a lower bound."""
    low: float | None = None
    """Lower end of the 95 % interval of `loss` / `base_loss` - 1; null if there are too few examples."""
    high: float | None = None
    """Upper end of the same interval."""
    examples: Count = 0
    """Examples of the part that were measured."""
    tokens: Count = 0
    """Target tokens of these examples."""
    final: bool = False
    """Measured on the weights that are saved, over the whole part."""


class TaskScored(Event, tag="task", frozen=True, kw_only=True):
    """The score of a task on held-out rows."""

    step: Count = 0
    """Steps done so far."""
    name: str = ""
    """The task."""
    score: float | None = None
    """Fraction solved, 0 to 1."""
    low: float | None = None
    """Lower end of the score's 95 % interval."""
    high: float | None = None
    """Upper end of the score's 95 % interval."""
    rows: Count = 0
    """Rows that were scored."""


class FindingReported(Event, tag="finding", frozen=True, kw_only=True):
    """Something about the run or its data that the user should look at."""

    severity: str = ""
    """How much it matters: `stops`, `warns` or `notes`."""
    text: str = ""
    """One sentence."""
    fix: str = ""
    """What to do about it; empty if there is nothing to do."""
    about: str = "data"
    """`data`, or `run` for what was seen while it trains."""


_OF_A_FAILURE = frozenset(("state", "error", "step"))


class RunFinished(Event, tag="run_finished", frozen=True, kw_only=True):
    """The attempt has ended; the last event, unless the run is resumed. A run that was killed has none.

    If it failed, the line has `state`, `error`, `wrong_input` and `step` only.
    """

    state: str = ""
    """`done`, `stopped`, `paused` or `failed`."""
    error: str | None = None
    """Why it failed, in a sentence with its fix."""
    wrong_input: bool | None = None
    """It failed for something that the user can fix, such as data of which no row can be used."""
    step: Count = 0
    """Steps done; for a failed run, the step of its last checkpoint."""
    total_steps: Count | None = None
    """Optimizer steps of the whole run."""
    loss: float | None = None
    """Training loss of the last step, in nats per target token."""
    eval_loss_before: float | None = None
    """Held-out loss before training; null if nothing was held out."""
    eval_loss: float | None = None
    """Held-out loss of the result; of the last evaluation if none was taken at its step, and for a paused run; null if
    there was none after training began."""
    peak_bytes: Count | None = None
    """Highest memory use of this attempt in bytes, of the device that used most."""
    hours: float | None = None
    """`seconds` in hours."""
    seconds: float | None = None
    """Seconds of the whole run, with loading, evaluating and saving, earlier attempts included."""
    train_seconds: float | None = None
    """Seconds of the training steps alone."""
    tokens: Count | None = None
    """Tokens trained on, padding not counted."""
    tokens_per_second: float | None = None
    """`tokens` over `train_seconds`."""
    result: str | None = None
    """Folder of the adapter or model; null for a paused run."""
    bytes: Count | None = None
    """Size of the result in bytes; null for a paused run."""
    result_step: Count | None = None
    """Step whose weights the result has: that of the lowest held-out loss, or the last one; null for a paused run."""
    result_eval_loss: float | None = None
    """Held-out loss at `result_step`; null if none was taken there."""
    reason: str | None = None
    """Why the run ended before its last step without being asked to, in a sentence."""

    @property
    def held_out_loss(self) -> float | None:
        """Held-out loss of the saved weights; of the last evaluation if none was taken at their step."""
        return self.eval_loss if self.result_eval_loss is None else self.result_eval_loss

    @property
    def saved_earlier_step(self) -> bool:
        """The result has the weights of an earlier step than the last: those with the lowest held-out loss."""
        return self.result_step is not None and self.result_step < self.step

    def left_out_if_none(self) -> frozenset[str]:
        """The figures of a failed run, and the error of any other."""
        if self.state == "failed":
            return frozenset(self.__struct_fields__) - _OF_A_FAILURE
        return frozenset(("error", "wrong_input", "reason"))


AnyEvent: TypeAlias = (
    RunStarted
    | PhaseStarted
    | PhaseProgress
    | CpuReading
    | DevicesTimed
    | StepDone
    | MemoryReading
    | GpuReading
    | Evaluated
    | Sampled
    | CheckpointSaved
    | OutOfMemory
    | Replanned
    | Logged
    | PhasesMeasured
    | Calibrated
    | ForgettingMeasured
    | TaskScored
    | FindingReported
    | RunFinished
)
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)  # once, at import: see backend/typed.py
_DAMAGED = (ValueError, RecursionError)
"""What msgspec raises for a line: not JSON, a wrong type, an unknown event, not UTF-8, or nested too deeply."""


def decoded(lines: bytes) -> list[AnyEvent]:
    """The events of complete lines. A line that is damaged or of an unknown event is skipped."""
    try:
        return _DECODER.decode_lines(lines)
    except _DAMAGED:
        return [event for line in lines.split(b"\n") if line and (event := _decoded(line)) is not None]


def _decoded(line: bytes) -> AnyEvent | None:
    try:
        return _DECODER.decode(line)
    except _DAMAGED:
        return None


def record(event: Event, now: float) -> dict[str, Any]:
    """The content of a line: the time first (`now` unless the event has its own), then name and fields."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    absent = event.left_out_if_none()
    fields = {name: value for name, value in fields.items() if value is not None or name not in absent}
    return {"t": 0.0} | fields | {"t": event.t or now}
