"""Load bitsandbytes' kernels while memory is free, and keep some memory free for kernels that are loaded later.

CUDA loads a kernel when it is first launched. bitsandbytes ends the whole process if that fails, as on a full card, so
each kind is launched once right after the model is loaded. Torch's own allocator is then told to leave a little of the
card alone: out of memory is an error that the run recovers from only if torch raises it.
"""

from __future__ import annotations

import torch
from torch.nn import Parameter

from backend import constants
from backend.plan.plan import Plan
from backend.training.optim import optimizers
from backend.training.parallel.execution import Execution
from backend.training.precision import compute_dtype

SIDE = 64
"""A matrix of 64 x 64 is the smallest whose optimizer states bitsandbytes keeps in 8 bits."""


def prepare(execution: Execution) -> None:
    """Launch each bitsandbytes kernel that the plan needs once, on the GPU; then keep a part of the card free."""
    if execution.device != "cuda":
        return
    run_once(execution.plan, execution.device)
    _keep_free()


def release() -> None:
    """Let torch have the whole card again, for the next run of this process."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.set_per_process_memory_fraction(1.0)


def run_once(plan: Plan, device: str) -> None:
    """Quantise, dequantise and multiply for QLoRA; one step for an 8-bit optimizer. Nothing is left of it."""
    if plan.method == "qlora":
        _four_bit(plan, device)
    if plan.optimizer.endswith("8bit"):
        parameter = Parameter(torch.zeros(SIDE, SIDE, device=device))
        parameter.grad = torch.zeros_like(parameter)
        optimizers.build([parameter], plan).step()


@torch.no_grad()
def _four_bit(plan: Plan, device: str) -> None:
    from bitsandbytes import matmul_4bit
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    weight = torch.zeros(SIDE, SIDE, device=device, dtype=compute_dtype(plan))
    packed, state = quantize_4bit(weight, compress_statistics=True, quant_type="nf4")
    dequantize_4bit(packed, state)
    for rows in (1, 2):  # a single row, as in a sample answer, has a kernel of its own
        matmul_4bit(weight[None, :rows], packed.t(), quant_state=state)


def _keep_free() -> None:
    free, total = torch.cuda.mem_get_info()
    most = free + torch.cuda.memory_reserved() - constants.memory().cuda.kept_free
    torch.cuda.set_per_process_memory_fraction(max(0.0, min(1.0, most / total)))
