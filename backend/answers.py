"""The user's answers: one object that the wizard's screens, `fttui plan` and `fttui train` share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Shift = Literal["format", "domain", "deep"]
Stakes = Literal["normal", "high"]
Method = Literal["lora", "qlora", "full"]
METHODS: tuple[Method, ...] = ("lora", "qlora", "full")


@dataclass(frozen=True)
class Answers:
    """The job as the user describes it. None means open: the planner chooses the value, or there is no limit."""

    model: str = ""
    """A folder, a hub id, `demo` (the model that ships), or, for planning only, a size such as `8b`."""
    data: str = ""
    """A file, a folder, a hub id or `demo`; empty if `rows` and `row_tokens` are given instead."""
    rows: int | None = None
    """Rows of data that you do not have yet: for planning only."""
    row_tokens: int | None = None
    """Tokens of one such row, prompt and answer together: for planning only."""
    gpu: str | None = None
    """Plan for this GPU instead of the box's own: NAME or NAME:COUNT, several kinds as `4090:2+3090`, or `cpu`."""
    nodes: int | None = None
    """How many such boxes the run is spread over; by default 1. For planning, and for `fttui launch`."""
    node_gbps: float | None = None
    """What a box sends to another, Gbit/s, such as 25 or 400; with it the plan says what another box would bring."""
    budget_usd: float | None = None
    """Most that the run may cost, USD."""
    deadline_hours: float | None = None
    """Most that the run may take, hours."""
    price_usd_per_hour: float | None = None
    """Price of one GPU for an hour, USD; 0 for a box that you own."""
    kwh_price_usd: float | None = None
    """Price of a kilowatt-hour, USD: a box that you own (this one, or one at a price of 0) costs its GPUs' energy."""
    shift: Shift = "format"
    """How deep the change goes: form and style, the ways of a domain, or new behaviour throughout."""
    stakes: Stakes = "normal"
    """`high` if losing general ability, or a wrong answer, is costly."""
    variants: int = 1
    """How many fine-tuned variants of this model will be kept."""
    max_length: int | None = None
    """Longest row in tokens; longer ones are cut."""
    epochs: float | None = None
    """Passes over the data."""
    effective_batch: int | None = None
    """Rows per optimizer step, over all micro-batches and devices."""
    output: str | None = None
    """Where the result is copied to; the run folder keeps it either way."""
    seed: int | None = None
    """Seed of the split, the order and the adapters' start."""
    adapter: str | None = None
    """Start from this adapter: a run's name or an adapter's folder. LoRA and QLoRA go on from it; for full, or with
    another rank, it is merged into the model first."""
    add_tokens: str | None = None
    """A file of new tokens, one a line, or a JSON list: the embedding gets rows for them, which are trained."""
    mapping: tuple[str, ...] = ()
    """Which column plays which part, `role=column` (repeatable); by default found by the usual column names."""
    set: tuple[str, ...] = field(default=())
    """Any other plan field, `key=value` (repeatable): method, objective, preference_beta, rank, alpha, dropout,
    target_modules, use_dora, use_rslora, modules_to_save, adapter_dtype, weights_dtype, quantization, packing,
    train_on_turns, special_tokens_in_data, max_steps, micro_batch, learning_rate, schedule, warmup_fraction,
    weight_decay, max_grad_norm, optimizer, optimizer_in_backward, checkpointing, activation_offload, chunked_loss,
    attention, precision, eval_fraction, eval_every, save_every, sample_prompts, keep_checkpoints, keep,
    early_stopping_patience, early_stopping_min_delta, measure_forgetting, max_forgetting, general_data, task,
    task_rows, task_tokens, budget_stop, replay_fraction, processes, compile, kernels, measure_kernels."""
