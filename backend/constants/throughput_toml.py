"""presets/throughput.toml: constants of the time estimate."""

from __future__ import annotations

from msgspec import field

from backend.answers import Method
from backend.constants.table import Table


class GpuClass(Table, frozen=True):
    """Shares of the peak rate that GPUs of one kind reach; without names and compute capability, of all other GPUs."""

    matmul: float
    attention: float
    spread: float
    """A step takes between the estimate divided by this and the estimate times this."""
    names: tuple[str, ...] = ()
    compute_capability: tuple[int, ...] = ()
    """The beginning of a compute capability: (9,) is any Hopper."""
    seen: str = ""
    """The published runs that the interval was compared with; empty if there are none."""
    host: float = 1.0
    """How much longer the host of such a card needs to launch a kernel than that of an A100."""
    host_link_bytes_per_second: float | None = None


class AnyGpu(Table, frozen=True):
    """What holds for all GPUs."""

    bandwidth: float
    recompute: float
    best_attention: float
    several: float
    several_spread: float
    nodes_spread: float
    experts_spread: float
    float32_rate: float
    float32_attention: float
    float32_spread: float
    kernels_spread: float
    host_link_bytes_per_second: float
    overlap: float
    """The power mean of the GPU's and the host's seconds."""


class Host(Table, frozen=True):
    """How fast a host launches kernels, measured by a plain Python loop (backend/hardware/host.py)."""

    loop_seconds: float
    """Seconds of the loop on a host that launches as fast as an A100's."""
    usual: tuple[float, float]
    """Factors that change nothing."""
    fastest: float
    slowest: float
    """Limits of the factor."""


class KernelTraffic(Table, frozen=True):
    """Bytes for each element of one block and forward pass, and the host's seconds to launch its kernels."""

    hidden: float
    heads: float
    mlp: float
    adapter_inputs: float
    adapter_outputs: float
    scores: float
    logits: float
    block_seconds: float
    adapter_seconds: float
    nf4_seconds: float
    wide: bool = False
    """Attention and head are computed in float32."""


class Kernels(Table, frozen=True):
    """Traffic by trainer: this one with the kernels of its plan, or another trainer with fused kernels."""

    stock: KernelTraffic
    upcast: KernelTraffic
    liger: KernelTraffic
    compiled: KernelTraffic
    fused: KernelTraffic


class WeightTraffic(Table, frozen=True):
    """Bytes for each parameter and micro-batch."""

    weight_read: float
    cast: float
    gradient: float
    gradient_16: float
    nf4: float


class UpdateTraffic(Table, frozen=True):
    """Bytes for each trained parameter that one optimizer step moves."""

    adamw: float
    adamw_8bit: float
    paged_adamw_8bit: float
    adafactor: float

    def of(self, optimizer: str) -> float:
        """Bytes per trained parameter of one optimizer."""
        return {
            "adamw": self.adamw,
            "adamw_8bit": self.adamw_8bit,
            "paged_adamw_8bit": self.paged_adamw_8bit,
            "adafactor": self.adafactor,
        }[optimizer]


class OptimizerBytes(Table, frozen=True):
    """Bytes by the type that the trained weights are kept in."""

    float32: UpdateTraffic
    bfloat16: UpdateTraffic


class CpuRates(Table, frozen=True):
    """For each method on a CPU, the slowest, the usual and the fastest share of the measured rate."""

    full: tuple[float, float, float]
    lora: tuple[float, float, float]
    qlora: tuple[float, float, float]
    bf16_gain: float
    chunked_loss: float
    bytes_per_second: float

    def shares(self, method: Method) -> tuple[float, float, float]:
        """Slowest, usual and fastest share of one method."""
        return {"full": self.full, "lora": self.lora, "qlora": self.qlora}[method]


class Step(Table, frozen=True):
    """The choice between settings."""

    as_fast: float


class Measured(Table, frozen=True):
    """Once runs on this box correct the estimate."""

    spread: float


class Overhead(Table, frozen=True):
    """Time besides steps."""

    start_seconds: float
    disk_bytes_per_second: float
    hash_bytes_per_second: float
    download_bytes_per_second: float
    quantise_bytes_per_second: float
    spread: float


class SampleTime(Table, frozen=True):
    """A sample answer."""

    tokens: int
    seconds_most: float
    task_batch: int


class ThroughputTable(Table, frozen=True):
    """The whole file."""

    gpu_classes: tuple[GpuClass, ...] = field(name="class")
    gpu: AnyGpu
    host: Host
    kernels: Kernels
    traffic: WeightTraffic
    optimizer_bytes: OptimizerBytes
    cpu: CpuRates
    step: Step
    measured: Measured
    overhead: Overhead
    sample: SampleTime
