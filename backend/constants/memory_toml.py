"""presets/memory.toml: constants of the memory formulas, in bytes unless a name says otherwise."""

from __future__ import annotations

from backend.constants.table import Table


class Quantisation(Table, frozen=True):
    """Weights that share one scale, and scales that share another."""

    nf4_block: int
    nf4_nested_block: int


class OptimizerStates(Table, frozen=True):
    """Bytes of state for each trained parameter."""

    adamw: float
    adamw_8bit: float
    paged_adamw_8bit: float

    def bytes_per_parameter(self, optimizer: str) -> float:
        """Bytes per parameter of an optimizer whose states don't depend on the weights' shapes."""
        return {
            "adamw": self.adamw,
            "adamw_8bit": self.adamw_8bit,
            "paged_adamw_8bit": self.paged_adamw_8bit,
        }[optimizer]


class UpdateMemory(Table, frozen=True):
    """The optimizer's step."""

    rounded_piece: int
    """Elements of a 16-bit weight that are widened to float32 at once."""


class Activations(Table, frozen=True):
    """What autograd keeps of one block."""

    norm_input: int
    swiglu_tensors: int
    lse: int


class Logits(Table, frozen=True):
    """Bytes for each target token and vocabulary entry."""

    whole_forward: float
    whole_backward: float
    chunked: float
    chunked_slope: float
    chunk_minimum: int
    """Fewest tokens of a chunk."""
    forgetting: int
    """Bytes of the log-probabilities of two models while forgetting is measured."""
    picked_index: int


class SampleMemory(Table, frozen=True):
    """A sample answer."""

    new_tokens: int


class Several(Table, frozen=True):
    """Several devices."""

    cached: float
    bucket: int


class Cuda(Table, frozen=True):
    """Memory of a GPU besides tensors."""

    context: int
    context_hopper: int
    kept_free: int
    cublas: int
    cublas_hopper: int
    cached: float
    cached_plain: float
    loss_blocks: int
    cached_expandable: float
    growing_least: int
    growing: float
    growing_plain: float
    growing_tied: float


class CpuMemory(Table, frozen=True):
    """Memory of a process on a CPU besides tensors."""

    runtime: int
    slack: float


class MemoryTable(Table, frozen=True):
    """The whole file."""

    quantisation: Quantisation
    optimizer: OptimizerStates
    update: UpdateMemory
    activations: Activations
    logits: Logits
    sample: SampleMemory
    several: Several
    cuda: Cuda
    cpu: CpuMemory
