"""A run's plan in the terms that other trainers share, and what they can't express."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from backend import typed
from backend.errors import UserError
from backend.export.rows import ExportedRows
from backend.export.source import ExportSource
from backend.model import whole_modules
from backend.model.targets import ALL_LINEAR
from backend.plan import counts
from backend.plan.plan import Plan

OPTIMIZERS = {
    "adamw": "adamw_torch_fused",
    "adamw_8bit": "adamw_bnb_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
}
"""Names of transformers' optimizers, which TRL, axolotl and LLaMA-Factory share."""
FINAL = 0.1
"""Share of the learning rate at which cosine and linear end, as in backend/training/schedule.py."""


class _Written(msgspec.Struct):
    """The fields that are read from the configuration that peft wrote with the run's adapter."""

    target_modules: list[str] | str = []
    modules_to_save: list[str] | None = None


@dataclass(frozen=True)
class Recipe:
    """The settings of other trainers that follow from plan and rows."""

    source: ExportSource
    rows: ExportedRows

    @property
    def plan(self) -> Plan:
        """The settings the run ended with."""
        return self.source.plan

    @property
    def micro_batch(self) -> int:
        """Rows in one pass: the plan's, or the next smaller number that divides a device's rows."""
        rows = self.plan.effective_batch // self.devices
        return next(x for x in range(self.plan.micro_batch, 0, -1) if rows % x == 0)

    @property
    def devices(self) -> int:
        """Devices that it must be started on: the run's, or the next smaller number that the rows can be shared by."""
        return next(x for x in range(self.plan.processes, 0, -1) if self.plan.effective_batch % x == 0)

    @property
    def accumulation(self) -> int:
        """Passes for one update: micro-batch times this, times the devices, is the effective batch."""
        return self.plan.effective_batch // (self.micro_batch * self.devices)

    @property
    def total_steps(self) -> int:
        """Updates of the run."""
        return counts.total_steps(self.rows.train, self.plan)

    @property
    def max_steps(self) -> int | None:
        """Updates at which it ends before its epochs do; other trainers go on past their epochs up to this number."""
        return self.total_steps if self.total_steps < self._steps_of_epochs else None

    @property
    def _steps_of_epochs(self) -> int:
        return counts.total_steps(self.rows.train, replace(self.plan, max_steps=0))

    @property
    def warmup_steps(self) -> int:
        """Updates in which the rate rises."""
        return math.ceil(self.plan.warmup_fraction * self.total_steps)

    @property
    def eval_steps(self) -> int:
        """Updates between evaluations."""
        return counts.eval_interval(self.plan, self.total_steps)

    @property
    def save_steps(self) -> int:
        """Updates between checkpoints."""
        return counts.save_interval(self.plan, self.total_steps)

    @property
    def keeps_16_bit_weights(self) -> bool:
        """A full run whose weights stay in bfloat16 from step to step."""
        return self.plan.method == "full" and self.plan.weights_dtype == self.plan.precision == "bfloat16"

    @property
    def alpha(self) -> int | float:
        """As a whole number if it is one."""
        return int(self.plan.alpha) if self.plan.alpha == int(self.plan.alpha) else self.plan.alpha

    @property
    def targets(self) -> list[str] | None:
        """Names of modules that get an adapter; None for all linear ones but the head.

        The names are those in the adapter, unless all linear layers have one: other trainers know `all-linear` only if
        it is the only name, and include a vision tower's layers.
        """
        said, written = self.plan.target_modules, self._written.target_modules
        names = [written] if isinstance(written, str) else sorted(written)
        if said == ALL_LINEAR and not any("." in name for name in names):
            return None
        return names or [name.strip() for name in said.split(",")]

    @property
    def _written(self) -> _Written:
        try:
            return typed.read_json(self.source.result / "adapter_config.json", _Written)
        except typed.Damaged as error:
            raise UserError(f"the configuration of the run's adapter can't be read: {error}", "run") from None

    @property
    def whole_modules(self) -> list[str] | None:
        """Names of modules that train in full besides the adapter; None for none.

        The names are those of the adapter: peft takes every module whose name ends like that, `norm` in each block too.
        """
        listed = whole_modules.listed(self.plan.modules_to_save)
        return (self._written.modules_to_save or listed) if listed else None

    @property
    def schedule(self) -> tuple[str, dict[str, float]]:
        """Name and settings of transformers' scheduler with the same curve after warm-up."""
        if self.plan.schedule == "cosine":
            return "cosine_with_min_lr", {"min_lr_rate": FINAL}
        if self.plan.schedule == "linear":
            return "polynomial", {"lr_end": self.plan.learning_rate * FINAL, "power": 1.0}
        return "constant_with_warmup", {}

    @property
    def rate(self) -> dict[str, Any]:
        """Learning rate, schedule and optimizer in the words of transformers' own arguments."""
        plan, (schedule, shape) = self.plan, self.schedule
        return {
            "learning_rate": plan.learning_rate,
            "lr_scheduler_type": schedule,
            "lr_scheduler_kwargs": shape or None,
            "warmup_steps": self.warmup_steps,
            "weight_decay": plan.weight_decay,
            "max_grad_norm": plan.max_grad_norm,
            "optim": OPTIMIZERS[plan.optimizer],
        }

    def head(self, trainer: str, command: str, *more: str) -> Iterator[str]:
        """The comment at the top of a config: what it is, `more` lines, and how it differs from the run."""
        yield f"Run {self.source.folder.name} of fttui for {trainer}; in this folder: {command}"
        yield f"{self.rows.train:,} rows to train on, {self.rows.held_out:,} held out, as the run split them."
        yield from (*more, "", "Otherwise than in the run:", *(f"- {x}" for x in self.differences()))

    def differences(self) -> Iterator[str]:
        """Sentences about what such trainers lack or do differently."""
        plan = self.plan
        if plan.packing:
            rows = plan.effective_batch
            yield (
                f"packing: off, though the run packed. It only arranged the {rows} rows of an update in sequences; "
                f"here packing would make an update of {rows} sequences, which hold many more rows."
            )
        if self.micro_batch != plan.micro_batch:
            yield f"micro-batch: {self.micro_batch} for {plan.micro_batch}, which does not divide a device's rows."
        if plan.processes > 1:
            yield from self._launch()
        if plan.optimizer_in_backward:
            yield "optimizer_in_backward: no equivalent; gradients are held all at once, which takes more memory."
        if self.keeps_16_bit_weights:
            yield "weights_dtype bfloat16: updates are rounded to nearest here, where the run rounded stochastically."
        if plan.adapter_dtype == plan.precision == "bfloat16" and self.source.is_adapter:
            yield "adapter_dtype bfloat16: no equivalent with stochastic rounding."
        if self.source.job.adapter and not self.source.job.adapter_is_merged:
            yield f"adapter: the run trained {self.source.job.adapter} further; a new one begins here."
        if self.source.job.added_tokens and self.source.is_adapter and not plan.modules_to_save:
            yield "add_tokens: the rows of the new tokens are in the base, and are not trained here."
        yield from self._endings()
        if plan.compile:
            yield "compile: left off; the run compiled each block."
        if plan.chunked_loss:
            yield "chunked_loss: logits may be held whole here, which takes more memory; Liger's kernels avoid it."
        yield "loss: the run divided an update's loss once by its target tokens; warm-up here starts at a rate of 0."

    def _endings(self) -> Iterator[str]:
        """Sentences on what the config lacks: the choice of weights, limits that end a run, and general rows."""
        plan = self.plan
        if plan.keep == "best" and self.rows.held_out:
            yield "keep: the run saved the weights with the lowest held-out loss; here the last ones are saved."
        limits = [x for x in ("early_stopping_patience", "max_forgetting", "budget_stop") if getattr(plan, x)]
        if limits:
            yield f"{', '.join(limits)}: not carried; it ends at its last step."
        if plan.replay_fraction:
            yield "replay_fraction: the general rows that the run mixed in are not among these rows."

    def _launch(self) -> Iterator[str]:
        """Sentences on the number of devices for the run's updates, which none of the configs can say."""
        plan, count = self.plan, self.devices
        start = f"start it as {count} processes, such as by accelerate launch --num_processes {count}"
        fewer = (
            f", since {plan.effective_batch} rows are no multiple of {plan.processes}" if count < plan.processes else ""
        )
        product = f"{self.micro_batch} x {self.accumulation} x {count} rows make an update of {plan.effective_batch}"
        here = start if count > 1 else "start it on one"
        yield f"processes: the run trained on {plan.processes} devices; {here}{fewer}."
        yield f"batch: {product}; on another number of devices change gradient_accumulation_steps."
        if plan.method == "full":
            yield "sharding: the run sharded the model over its devices (FSDP2); add the trainer's own FSDP settings."
