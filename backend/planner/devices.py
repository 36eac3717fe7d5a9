"""Finds the device that a run is planned for: of this box, or the one that the user names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from backend import constants
from backend.errors import UserError
from backend.hardware import Cpu, Gpu, Hardware, Ram, catalogue, driver_files, host, segments, servers, torch_build
from backend.hardware.catalogue import GpuSpec
from backend.hardware.rate import Seen, cpu_rate, does_bf16_well, loop_seconds
from backend.planner import device_names, several
from backend.planner.box import box
from backend.planner.device import Card, Device, Pool, Price
from backend.planner.learned import bounded, calibrated
from backend.units import memory

CPU = "cpu"
BUSY = "Other programs keep this box's cores busy"


def named(text: str) -> Device:
    """The device that `text` means: `4090`, `A100-80GB:4`, or `cpu` for this box's processor.

    A GPU is described as the catalogue has it, whether this box has one or not. Raises UserError (field `gpu`) for a
    name that is unknown or fits several cards, and for a count below 1. `4090:2+3090` means unlike cards in one box.
    """
    if "+" in text:
        parts = [named(part) for part in text.split("+")]
        if any(part.kind == CPU for part in parts):
            raise UserError("A run is on GPUs or on the CPU: leave the CPU out.", "gpu")
        return several.unlike(parts)
    name, count = device_names.split_count(text)
    if not name:
        raise UserError("The GPU has no name: say for example RTX 4090, A100-80GB:4 or cpu.", "gpu")
    if name.casefold() == CPU:
        if count > 1:
            raise UserError(f"{text!r}: the CPU of this box counts once, say just cpu.", "gpu")
        return bounded(calibrated(cpu(host.cpu(), host.ram())))
    spec, choice = device_names.find(name)
    notes = [choice] if choice else []
    return from_catalogue(spec, count, tuple(notes + ([spec.note] if spec.note else [])))


def here(hardware: Hardware) -> Device:
    """The device of this box: its idle GPUs of the largest kind, or the one with most free memory, or the CPU.

    It carries the corrections by finished runs on it. Its free memory is at most what a run needed that ran out of it.
    """
    return bounded(calibrated(replace(_here(hardware), box=box(hardware))))


def _here(hardware: Hardware) -> Device:
    if not hardware.gpus:
        return cpu(
            hardware.cpu, hardware.ram, (f"{_no_gpu(hardware)} Plans are for the CPU, which trains small models only.",)
        )
    if hardware.torch is not None and hardware.torch.cuda is None:
        return cpu(hardware.cpu, hardware.ram, hardware.notes)
    obstacles = tuple(
        x.sentence for x in torch_build.disagreements(hardware.torch, hardware.driver_cuda, hardware.gpus)
    ) + tuple(_of_unknown_size(_alike(hardware.gpus)[0][0]))
    notes = tuple(x for x in hardware.notes if not x.startswith(obstacles)) if obstacles else hardware.notes
    return replace(
        _detected(hardware.gpus, hardware.ram, notes),
        expandable_segments=segments.known(hardware).expandable,
        obstacles=obstacles,
        host=_host(hardware.cpu),
    )


def _no_gpu(hardware: Hardware) -> str:
    """Why the plan is for the CPU. An AMD GPU is named: "no NVIDIA driver" would not explain it to its user."""
    if hardware.torch is not None and hardware.torch.hip:
        return torch_build.disagreements(hardware.torch, None, ())[0].sentence
    return hardware.no_gpu.reason if hardware.no_gpu else "There is no GPU."


def choices() -> list[str]:
    """Names for a picker, in the catalogue's order, the CPU of this box last."""
    return [*(spec.name for spec in catalogue.specs()), CPU]


def from_catalogue(spec: GpuSpec, count: int = 1, notes: tuple[str, ...] = ()) -> Device:
    """`count` GPUs of a kind that need not be here."""
    return Device(
        kind="cuda",
        name=spec.name,
        count=count,
        memory_bytes=spec.torch_bytes,
        free_bytes=spec.torch_bytes,
        flops_per_second=spec.flops_per_second,
        bytes_per_second=spec.bytes_per_second,
        bf16=spec.bf16_flops is not None,
        compute_capability=spec.compute_capability,
        price=_price(spec),
        here=False,
        watts=spec.tdp_watts,
        notes=notes,
    )


def cpu(processor: Cpu, ram: Ram, notes: tuple[str, ...] = ()) -> Device:
    """The CPU of this box. Its rate is a measured float32 matrix product; its memory is the RAM that is available."""
    rate = cpu_rate(processor)
    return Device(
        kind="cpu",
        name=f"{processor.name}, {processor.usable_cores:g} cores",
        count=1,
        cores=max(2, int(processor.usable_cores)),
        memory_bytes=ram.available_bytes,
        free_bytes=ram.available_bytes,
        flops_per_second=rate.flops_per_second,
        bytes_per_second=0.0,
        bf16=does_bf16_well(processor),
        compute_capability=None,
        price=None,
        here=True,
        notes=(*notes, *_busy(rate)),
    )


def _busy(rate: Seen) -> Iterator[str]:
    """What other programs that compute now mean for the predicted time."""
    if rate.busy and rate.trusted:
        yield f"{BUSY}: a run takes longer than predicted while they do."
    elif rate.busy:
        yield f"{BUSY}, also while its speed was measured: the time is a rough estimate, and longer while they do."


def _detected(gpus: Sequence[Gpu], ram: Ram, notes: tuple[str, ...]) -> Device:
    """GPUs of one kind in this box: memory as the driver reports it, rates and price from the catalogue."""
    group, has = _alike(gpus)
    gpu, spec = group[0], _spec(group[0])
    compute, bandwidth = _shares(gpu)
    cards = several.ordered(_card(x, _capacity(x, spec, ram), ram) for x in group)
    whole = Device(
        kind="cuda",
        name=_name(gpu, spec),
        count=1,
        memory_bytes=cards[0].memory_bytes,
        free_bytes=cards[0].free_bytes,
        flops_per_second=spec.flops_per_second * compute if spec else 0.0,
        bytes_per_second=spec.bytes_per_second * bandwidth if spec else 0.0,
        bf16=gpu.compute_capability is not None and gpu.compute_capability >= catalogue.cuda_rules().bf16_since,
        compute_capability=gpu.compute_capability,
        price=_price(spec) if spec and not gpu.mig else None,
        here=True,
        watts=gpu.reading.power_limit_watts or (spec.tdp_watts if spec and not gpu.mig else None),
        notes=(*notes, *_catalogue_notes(gpu, spec)),
        pool=Pool(cards, has, _others(gpus, group, ram)),
    )
    return several.take(whole, max(1, sum(card.idle for card in cards)))


def _others(gpus: Sequence[Gpu], group: Sequence[Gpu], ram: Ram) -> Device | None:
    """The GPUs of the box that are of another kind than `group`; None if there are none, or MIG slices among them."""
    rest = [gpu for gpu in gpus if gpu not in group]
    return _detected(rest, ram, ()) if rest and not any(gpu.mig for gpu in gpus) else None


def _host(processor: Cpu) -> float | None:
    """Time to launch a kernel on this host, relative to an A100's host; None if they are much alike."""
    table = constants.throughput().host
    factor = loop_seconds(processor) / table.loop_seconds
    if table.usual[0] <= factor <= table.usual[1]:
        return None
    return float(min(table.slowest, max(table.fastest, factor)))


def _alike(gpus: Sequence[Gpu]) -> tuple[Sequence[Gpu], str]:
    """The GPUs that a run can take (those of the largest kind), and what the box has if there are several."""
    largest = max(gpus, key=lambda gpu: gpu.memory_bytes or 0)
    group = [gpu for gpu in gpus if _kind(gpu) == _kind(largest)]
    if largest.mig:
        has = f"CUDA gives a program one MIG slice: a run trains on the {largest.profile or 'largest'} one."
        return [largest], has if len(gpus) > 1 else ""
    if len(group) == len(gpus):
        return group, f"This box has {len(group)} such GPUs" if len(group) > 1 else ""
    kinds = ", ".join(f"{count} x {name}" for (name, _, _), count in Counter(map(_kind, gpus)).items())
    return group, f"This box has unlike GPUs ({kinds}), of which the {largest.name} has most memory"


def _kind(gpu: Gpu) -> tuple[str, int | None, str]:
    return gpu.name, gpu.memory_bytes, gpu.profile


def _card(gpu: Gpu, capacity: int, ram: Ram) -> Card:
    computes = any(process.computes for process in gpu.processes)
    idle = not computes and (gpu.free_bytes or 0) >= constants.methods().several.idle * capacity
    available = ram.available_bytes if _shares_memory(gpu) else gpu.free_bytes
    free = capacity if available is None else min(capacity, available)
    return Card(gpu.uuid, gpu.index, capacity, free, idle, tuple(_users(gpu)))


def _users(gpu: Gpu) -> Iterator[str]:
    """Sentences on the processes that hold memory of a GPU."""
    for process in gpu.processes:
        name = f"the {process.server} server" if process.server else process.name or "a program outside this container"
        who = f"{name} (pid {process.pid})"
        size = f", {memory(process.memory_bytes)}" if process.memory_bytes else ""
        said = f"GPU {gpu.index} is in use by {who}{size}"
        free = f"; {servers.how_to_free(process.server)}, or `fttui queue add` waits" if process.server else ""
        yield f"{said}{free}."


def _spec(gpu: Gpu) -> GpuSpec | None:
    """The catalogue's entry of a GPU; a MIG slice has that of its GPU, whatever its own memory."""
    return catalogue.by_driver_name(gpu.name, None if gpu.mig else gpu.memory_bytes)


def _capacity(gpu: Gpu, spec: GpuSpec | None, ram: Ram) -> int:
    """What torch can have: the total without the driver's reserve; the catalogue's if the driver does not report it."""
    if _shares_memory(gpu):
        return min(spec.torch_bytes, ram.total_bytes) if spec else ram.total_bytes
    if gpu.memory_bytes is None:
        return spec.torch_bytes if spec else 0
    if gpu.reserved_bytes is None:
        return min(gpu.memory_bytes, spec.torch_bytes) if spec and not gpu.mig else gpu.memory_bytes
    return gpu.memory_bytes - gpu.reserved_bytes


def _shares_memory(gpu: Gpu) -> bool:
    """Whether the driver answers and reports no memory of the GPU's own: an integrated GPU, which uses the CPU's."""
    return gpu.memory_bytes is None and not _is_undescribed(gpu)


def _is_undescribed(gpu: Gpu) -> bool:
    """Whether only the kernel module's files describe the GPU."""
    return driver_files.NEEDED in gpu.refused.get("memory", "")


def _of_unknown_size(gpu: Gpu) -> Iterator[str]:
    if _is_undescribed(gpu) and _spec(gpu) is None:
        yield (
            f"How much memory the {gpu.name} has is not known here, since {driver_files.NEEDED} is missing: "
            f"{driver_files.FIX}."
        )


def _shares(gpu: Gpu) -> tuple[float, float]:
    """Shares of the GPU's rate and bandwidth that a device has: a MIG slice's follow from its profile; 0 if unknown."""
    if gpu.mig is None:
        return 1.0, 1.0
    rate, bandwidth = gpu.mig.compute_share, gpu.mig.memory_share
    return (rate, bandwidth) if rate and bandwidth else (0.0, 0.0)


def _name(gpu: Gpu, spec: GpuSpec | None) -> str:
    name = spec.name if spec else gpu.name.removeprefix("NVIDIA ")
    return f"{name} MIG {gpu.profile}" if gpu.profile else name


def _catalogue_notes(gpu: Gpu, spec: GpuSpec | None) -> tuple[str, ...]:
    if spec is None and _shares_memory(gpu):
        return (
            f"The catalogue has no {gpu.name}, whose speed is unknown until a step is measured. Its driver reports no "
            "memory of its own: it is taken to share the CPU's, and what other programs use is missing here.",
        )
    if spec is None:
        return (f"The catalogue has no {gpu.name}: its speed is unknown until a step is measured, its price is yours.",)
    return (spec.note,) if spec.note else ()


def _price(spec: GpuSpec) -> Price | None:
    offer = spec.offer
    return Price(offer.low, offer.typical, offer.high, offer.source) if offer else None
