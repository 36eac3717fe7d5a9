"""What the stacks of the published runs keep in memory: one description a stack, none of a single run.

Each follows from the stack's own code of its time (transformers, peft, fms-acceleration, torchtune, Qwen's). None of
them set expandable segments, and none of them rounds 16-bit weights stochastically.
"""

from __future__ import annotations

from dataclasses import replace

from backend.plan.plan import Plan
from backend.planner.memory.stack import Stack
from tests.bench.published import Run

COMMON = Stack(narrow_states=True, foreach=True, expandable_segments=False)
"""torch's AdamW with its defaults: moments in the weights' type, and lists of tensors at once."""

LOGITS = {
    # float32 logits of all positions, their shifted copy and log-softmax, the 16-bit gradient (transformers 4.4x).
    ("fms-2024", "stock"): 14.0,
    ("fms-2024", "upcast"): 14.0,
    ("llama-factory", "stock"): 14.0,
    # the fused cross entropy writes its gradient over the shifted copy; later there is no such copy.
    ("fms-2024", "fused"): 10.0,
    ("fms-liger", "fused"): 8.0,
    # 16-bit logits and their shifted copy; autocast computes the loss in float32.
    ("qwen", "stock"): 12.0,
    # all chunks' logits in 16 bits, and one of eight chunks' gradient.
    ("torchtune-3b", "compiled"): 2.25,
}
"""Source and kernels -> bytes of a token and vocabulary entry at the loss's peak.

Which tensors these are is read from the code; that they are alive together, from how the runs grow with their batch.
"""

BIGCODE_LOGITS = {"stock": 8.0, "fused": 6.0}
"""The same of gpt_bigcode, which keeps its logits and their loss in 16 bits."""


def stack_of(run: Run) -> Stack:
    """The stack that a run was made with."""
    adapted = run.method != "full"
    stack = replace(
        COMMON,
        fused_norms=run.kernels in ("fused", "compiled", "upcast"),  # of a float32 input a float32 copy is that input
        wide_residual=run.kernels == "upcast",
        repeated_keys=repeats_keys(run),
        wide_adapter_inputs=adapted and not run.precision.endswith("-amp") and run.source != "torchtune-3b",
        swiglu_tensors=2 if run.kernels == "compiled" else None,
        logits_bytes=LOGITS.get((run.source, run.kernels)),
    )
    if run.source.startswith("fitcheck"):  # logits in 16 bits and float32, their log-softmax; then the float32 gradient
        stack = replace(stack, repeated_keys=True, logits_forward=10.0, logits_bytes=14.0)
    if "bigcode" in run.model:  # torch's own LayerNorm; the MLP keeps what its GELU gets, and the result
        logits = BIGCODE_LOGITS[run.kernels]
        stack = replace(stack, fused_norms=True, swiglu_tensors=1, narrow_loss=True, logits_bytes=logits)
    return stack


def repeats_keys(run: Run) -> bool:
    """transformers' Mistral did before its flash attention, sdpa does if padding needs a mask, torchtune always."""
    return "mistral" in run.model or run.source == "torchtune-3b" or not run.packed


def plan_as_run(run: Run, plan: Plan) -> Plan:
    """Settings that are missing in a run's row but given in its source."""
    dropout = {"fms-2024": 0.1, "fms-liger": 0.1, "qwen": 0.05}.get(run.source, 0.0)
    if run.source == "torchtune-3b":  # adapters in the weights' type; flex attention needs no mask for packed rows
        plan = replace(plan, adapter_dtype="bfloat16", attention="flash_attention_2", chunked_loss=False)
    return replace(plan, dropout=dropout if run.method != "full" else 0.0)
