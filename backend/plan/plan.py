"""The plan of a run: every setting the trainer obeys. These names are the keys of a preset and of `--set`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from backend.answers import Method

EXECUTION = (
    *("micro_batch", "checkpointing", "chunked_loss", "optimizer", "optimizer_in_backward", "activation_offload"),
    "weights_dtype",
)
"""Plan fields that change memory and speed but not what is learned; the planner chooses them unless the user does."""
ADAPTER_ONLY = ("use_dora", "use_rslora", "modules_to_save")
"""Plan fields for features that `full` does not have."""
FULL_ONLY = ("optimizer_in_backward",)
"""Plan fields for features that adapters do not have."""

Count = Annotated[int, Meta(ge=1)]
Zero = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]


@dataclass(frozen=True)
class Plan:
    """Settings of one run. Rows are examples; lengths are tokens."""

    method: Method = "qlora"
    rank: Count = 16
    """LoRA rank; of no effect for `full`."""
    alpha: Positive = 32.0
    """LoRA scale: the update is multiplied by alpha / rank."""
    dropout: Fraction = 0.0
    """Dropout on the adapters' input."""
    target_modules: str = "all-linear"
    """`all-linear` (every linear layer but the head), or a comma list of module names."""
    use_dora: bool = False
    """DoRA: also trains the magnitude of each row of an adapted weight, besides LoRA's direction; slower."""
    use_rslora: bool = False
    """Rank-stabilised LoRA: the update is multiplied by alpha / sqrt(rank), so that high ranks learn as fast."""
    modules_to_save: str = ""
    """Modules that train in full besides the adapter and are saved with it: a comma list of `embed_tokens`, `lm_head`
    and norms."""
    adapter_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the adapters; `bfloat16` as for weights_dtype. The base keeps its own type."""
    weights_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights and gradients of `full`; bfloat16 (with that precision only) uses stochastic rounding."""
    quantization: Literal["none", "nf4"] = "nf4"
    """The base weights' format: `nf4` (4-bit with double quantisation) for qlora, `none` otherwise."""
    objective: Literal["sft", "dpo", "kto"] = "sft"
    """sft learns answers; dpo prefers the better of two answers, and kto good answers to bad ones (lora, qlora)."""
    preference_beta: Positive = 0.1
    """dpo and kto: how strongly the model is kept near its base; a smaller one lets it move further."""
    max_length: Annotated[int, Meta(ge=16)] = 2048
    """Longest row, and the length of a packed sequence."""
    packing: bool = True
    """Several rows in one sequence, block-diagonal attention; False pads rows to the longest of a micro-batch."""
    train_on_turns: Literal["all", "last"] = "all"
    """Which answers of a conversation are learned: `all` (except any that the data excludes), or the `last`."""
    special_tokens_in_data: bool = False
    """A control token's text within the data (`<|im_end|>` in an answer) becomes that token, and not plain text."""
    epochs: Positive = 3.0
    """Passes over the training rows."""
    max_steps: Zero = 0
    """Optimizer steps at which the run ends early; 0 for as many as the epochs have."""
    effective_batch: Count = 16
    """Rows per optimizer step. Packing only arranges them: the same rows make the same update either way."""
    micro_batch: Count = 1
    """Sequences (packed, or rows if `packing` is off) in one forward and backward pass on one device."""
    learning_rate: Positive = 2e-4
    """The highest rate of the schedule, reached after warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """After warm-up: cosine or linear to a tenth of the rate, or constant."""
    warmup_fraction: Fraction = 0.03
    """Part of the steps in which the rate rises from zero."""
    weight_decay: NotNegative = 0.0
    """Each step shrinks the trained weights by this fraction times the learning rate."""
    max_grad_norm: NotNegative = 1.0
    """Gradients are clipped to this global norm; 0 for no clipping."""
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor"] = "adamw"
    """8-bit states take a quarter of the memory; paged ones move to host memory when the device is full (CUDA)."""
    optimizer_in_backward: bool = False
    """Step each parameter as its gradient is ready (full only): gradients never exist all at once."""
    checkpointing: bool = False
    """Recompute activations in the backward pass."""
    activation_offload: bool = False
    """Keep checkpointed activations in host memory (CUDA only)."""
    chunked_loss: bool = False
    """Compute the loss in chunks, so that the logits never exist whole."""
    compile: bool = False
    """Compile each block with torch.compile, as `kernels = compiled` does: takes minutes at the start."""
    kernels: Literal["stock", "fused", "compiled"] = "stock"
    """What computes norms and MLPs: transformers' own, Liger's fused ones (CUDA, package liger-kernel), or compiled
    blocks."""
    measure_kernels: bool = False
    """Time the kernels that are there at the start of a run on a GPU, and take the fastest; they are remembered for
    this box. The planner sets it if `kernels` is left open."""
    attention: Literal["sdpa", "varlen", "flash_attention_2", "eager"] = "sdpa"
    """The attention kernel; all of them keep packed rows apart. `varlen` and `flash_attention_2` compute each row by
    itself, the others a mask over the whole sequence; `varlen` needs no package (CUDA: Ampere or later, 16 bits)."""
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """The compute type, which the frozen base is kept in. weights_dtype and adapter_dtype are for what trains."""
    eval_fraction: Fraction = 0.05
    """Part of the rows held out for evaluation."""
    eval_every: Zero = 0
    """Optimizer steps between evaluations; 0 for about ten in a run; always one before training, one at the end."""
    save_every: Zero = 0
    """Optimizer steps between checkpoints; 0 for about five in a run. One is always made at the end."""
    sample_prompts: str = ""
    """Your own questions, one a line, which the model is asked at each evaluation besides some of held-out rows."""
    keep_checkpoints: Count = 2
    """How many of the newest checkpoints are kept, besides the best."""
    keep: Literal["best", "last"] = "best"
    """Which weights are saved in the end: those with the lowest held-out loss, or those of the last step."""
    early_stopping_patience: Zero = 0
    """Evaluations in a row without a lower held-out loss after which the run ends; 0 to train to the last step."""
    early_stopping_min_delta: NotNegative = 0.0
    """By how much an evaluation has to lower the best held-out loss to count as an improvement, in nats."""
    measure_forgetting: bool = False
    """Compare the model with its base on general text: before training, at each evaluation, and after it."""
    max_forgetting: NotNegative = 0.0
    """The run ends when the loss on a part of the general text has risen by more than this fraction; 0 for no limit."""
    general_data: str = ""
    """The general text: a file, a folder or a hub id; empty for the set that ships."""
    task: str = ""
    """Score answers to held-out questions before and after training: exact, number (the last one), or a regular
    expression whose match is compared; empty for none."""
    task_rows: Count = 50
    """The most held-out questions that are scored."""
    task_tokens: Count = 256
    """The most tokens of such an answer."""
    budget_stop: bool = False
    """The budget is a cap: the run stops with a checkpoint before it has cost more."""
    replay_fraction: Fraction = 0.0
    """Part of the training rows that is general text, mixed in against forgetting. Forgetting is then measured on the
    other half of the general text."""
    processes: Count = 1
    """Devices that train together."""
    seed: Zero = 0
    """Seed of the split, the order of the rows and the adapters' start."""
