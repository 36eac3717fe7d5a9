"""Host memory and disk that a run needs, and whether this box has them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from backend import constants, units
from backend.answers import Answers
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.model.shape import ModelShape
from backend.plan.counts import sequences_per_row
from backend.plan.plan import Plan
from backend.planner import memory, overhead, rules, start, throughput
from backend.planner.box import Box
from backend.planner.device import Device
from backend.planner.estimates import HostEstimate
from backend.planner.memory.sharded import is_sharded


def needs(
    model: ModelInfo, plan: Plan, device: Device, data: DataReport, answers: Answers, peak_bytes: int
) -> HostEstimate:
    """Host memory and disk of a run. `peak_bytes` is the device's peak, which on a CPU is the host's."""
    ram = {"train": peak_bytes} if device.kind == "cpu" else _ram(model, plan, data)
    merging = int(constants.host().ram.merge_factor * _merged_bytes(model.shape))
    if plan.method != "full":
        ram["merge"] = merging
    if start.is_merged(model, plan) and model.adapter and not model.adapter.is_usual:
        ram["base"] = merging  # not merged tensor by tensor, but with the whole model in memory
    return HostEstimate(ram, _disk(model, plan, data, answers), _kept(plan, data))


def _ram(model: ModelInfo, plan: Plan, data: DataReport) -> dict[str, int]:
    """Host memory by phase of a run on a GPU: what the process always holds, and what each phase adds.

    A checkpoint's weights are all copied to the host before they are written (safetensors 0.8); optimizer states go
    one by one. A whole model is saved in its stored 16-bit type. Paged states may all be moved to the host. If there
    are several processes, each has its own interpreter, libraries, activations and adapter states; they share mapped
    files. The first one reads a sharded model whole (backend/training/parallel/sharding.py).
    """
    table = constants.host().ram
    always = plan.processes * (constants.memory().cpu.runtime + table.cuda_libraries)
    replicas = 1 if plan.method == "full" else plan.processes
    paged = replicas * memory.optimizer_states(model.shape, plan) if plan.optimizer.startswith("paged") else 0
    offloaded = plan.processes * _offloaded(model.shape, plan, data)
    trained = memory.trainable(model.shape, plan) * memory.trained_bytes(plan)
    return {
        "load": always + min(model.weight_bytes, table.shard_bytes) + (trained if is_sharded(plan) else 0),
        "train": always + paged + offloaded,
        "save": always + paged + trained,
    }


def _offloaded(shape: ModelShape, plan: Plan, data: DataReport) -> int:
    """Bytes of checkpointed activations in host memory: each block's input.

    Each is pinned for itself, and torch rounds pinned memory up to a power of two (CachingHostAllocator).
    """
    if not (plan.checkpointing and plan.activation_offload):
        return 0
    load = throughput.work(plan, data)
    batch = memory.BatchShape(plan.micro_batch * sequences_per_row(plan), load.length, load.scored)
    each = memory.kept_activations(shape, replace(plan, activation_offload=False), batch) // shape.layers
    return int(shape.layers * 2 ** math.ceil(math.log2(max(1, each))))


def _merged_bytes(shape: ModelShape) -> int:
    return shape.parameters * memory.SIXTEEN_BIT


def _disk(model: ModelInfo, plan: Plan, data: DataReport, answers: Answers) -> dict[str, int]:
    table = constants.host().disk
    trained = memory.trainable(model.shape, plan) * memory.trained_bytes(plan)
    each = trained + memory.optimizer_states(model.shape, plan)
    result = result_bytes(model, plan)
    tokens = data.cut(plan.max_length).tokens
    parts = {
        "download": model.download_bytes,
        "data": tokens * table.token_bytes + data.rows * table.row_bytes,
        "checkpoints": each * (_kept(plan, data) + table.beside_kept),
        "general": _general_bytes(plan),
        "result": result,
        "output": result if answers.output else 0,
    }
    if model.added_tokens or start.is_merged(model, plan):
        parts["base"] = _merged_bytes(model.shape)
    if plan.method != "full":
        parts["merged"] = _merged_bytes(model.shape)
    return parts


def _kept(plan: Plan, data: DataReport) -> int:
    """Checkpoints that are kept: no more than the run writes."""
    return min(plan.keep_checkpoints, overhead.checkpoints(plan, rules.steps(plan, data)))


def _general_bytes(plan: Plan) -> int:
    """What full fine-tuning keeps of the base model's predictions for the general text: ids and their logarithms."""
    if not plan.measure_forgetting or plan.method != "full":
        return 0
    table = constants.forgetting().measure
    whole = sum(part.tokens for part in constants.general().part)
    tokens = table.most_rows * table.row_tokens if plan.general_data else whole
    return int(tokens * (4 + table.kept_tokens * 8))


def result_bytes(model: ModelInfo, plan: Plan) -> int:
    """The result on disk: the adapter's matrices, or the whole model in the type it is saved in."""
    if plan.method == "full":
        saved = memory.FLOAT32 if plan.precision == "float32" else memory.SIXTEEN_BIT
        return model.shape.parameters * saved
    return memory.adapters(model.shape, plan)


def obstacles(needed: HostEstimate, plan: Plan, device: Device) -> Iterator[str]:
    """Sentences on what this box lacks, each with fixes, the smallest change first; none for another box."""
    if device.box is None:
        return
    yield from _lacking_ram(needed, plan, device, device.box)
    yield from _lacking_disk(needed, plan, device.box)


def _lacking_ram(needed: HostEstimate, plan: Plan, device: Device, box: Box) -> Iterator[str]:
    """Sentences on missing RAM. On a CPU training itself is left out: the plan's own fit covers it."""
    free = box.ram_bytes
    looked_at = {phase: size for phase, size in needed.ram_by_phase.items() if phase != "merge"}
    if device.kind == "cpu":
        looked_at = {phase: size for phase, size in looked_at.items() if phase == "base"}
    phase = max(looked_at, key=lambda x: looked_at[x], default="")
    if not phase or looked_at[phase] <= free:
        return
    what = {
        "load": "loading",
        "train": "training",
        "save": "writing a checkpoint",
        "base": "merging the adapter before it trains",
    }[phase]
    lacking = units.gib(looked_at[phase] - free)
    says = f"{rules.title(plan.method)} needs {units.gib(looked_at[phase])} of host RAM for {what}, {units.gib(free)}"
    yield f"{says} are available: {_ram_fix(plan, phase)}free {lacking}."


def _ram_fix(plan: Plan, phase: str) -> str:
    if phase == "train" and plan.activation_offload:
        return "leave activations on the GPU (--set activation_offload=false), or "
    if plan.optimizer.startswith("paged"):
        return "keep the optimizer's states on the GPU (--set optimizer=adamw_8bit), or "
    return "take an adapter method, or " if plan.method == "full" else ""


def _lacking_disk(needed: HostEstimate, plan: Plan, box: Box) -> Iterator[str]:
    """Sentences on missing disk, on the file system of the runs, and on that of the downloads if it is another."""
    download = needed.disk_by_part["download"]
    run = needed.disk_bytes - (0 if box.one_disk else download)
    if run > box.run_free_bytes:
        yield (
            f"The run writes {units.disk(run)} to {box.run_folder}, where {units.disk(box.run_free_bytes)} are free: "
            f"{_disk_fix(needed, run, box)}set FTTUI_HOME to another disk, or free "
            f"{units.disk(run - box.run_free_bytes)}."
        )
    if not box.one_disk and download > box.download_free_bytes:
        yield (
            f"The download of {units.disk(download)} goes to {box.download_folder}, where "
            f"{units.disk(box.download_free_bytes)} are free: set HF_HOME to another disk, or free "
            f"{units.disk(download - box.download_free_bytes)}."
        )


def _disk_fix(needed: HostEstimate, run: int, box: Box) -> str:
    """Fewer checkpoints, if that is enough."""
    each = needed.disk_by_part["checkpoints"] // (needed.kept_checkpoints + constants.host().disk.beside_kept)
    for keep in range(needed.kept_checkpoints - 1, 0, -1):
        less = run - each * (needed.kept_checkpoints - keep)
        if less <= box.run_free_bytes:
            return f"keep fewer checkpoints (--set keep_checkpoints={keep}: {units.disk(less)}), "
    return ""
