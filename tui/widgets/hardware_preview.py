"""The box as a panel: each GPU with its memory, temperature and processes, or why there is none; CPU, RAM, disk.

Or a known GPU, which need not be in the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.content import Content

from backend import units
from tui.plain import plain
from tui.widgets.preview import Fact, facts
from tui.widgets.prose import sentences, stacked

if TYPE_CHECKING:
    from backend.hardware import Gpu, Hardware, Version
    from backend.planner.device import Device


def preview(hardware: Hardware, width: int, device: Device | None = None) -> Content:
    """The whole panel, for `width` columns; if there are several GPUs, which of them `device`, this box, would use."""
    rows: list[Fact] = [row for gpu in hardware.gpus for row in _gpu(gpu)]
    if device is not None and device.pool is not None and device.pool.has:
        rows.append(("run", plain(device.taken[0], lines=False)))
    if hardware.no_gpu is not None:
        rows.append(("GPU", Content.assemble(("none: ", "bold"), plain(hardware.no_gpu.reason))))
    if hardware.hidden_gpus and hardware.gpus:
        rows.append(("hidden", f"{hardware.hidden_gpus} more, by CUDA_VISIBLE_DEVICES"))
    if software := ", ".join(_software(hardware)):
        rows.append(("driver" if hardware.driver else "torch", software))
    rows += [("CPU", _cpu(hardware)), ("RAM", _ram(hardware))]
    rows.append(("disk", f"{units.disk(hardware.disk_free_bytes)} free at {plain(hardware.disk_path, lines=False)}"))
    return stacked([facts(rows, width, 8), sentences(hardware.notes, width, "!", "$warning")])


def planned(device: Device, width: int) -> Content:
    """What is known about the GPU to plan for, for `width` columns; if there are several, figures of one."""
    rates = [
        f"{device.flops_per_second / 1e12:,.0f} TFLOP/s in 16-bit" if device.flops_per_second else "",
        f"{device.bytes_per_second / 1e9:,.0f} GB/s" if device.bytes_per_second else "",
        f"{device.watts:.0f} W" if device.watts is not None else "",
    ]
    each = " each" if device.count > 1 else ""
    rows: list[Fact] = [("memory", units.gib(device.memory_bytes) + each)]
    rows += [("speed", text)] if (text := ", ".join(rate for rate in rates if rate)) else []
    if (price := device.price) is not None:
        bounds = f"{units.usd(price.low)} to {units.usd(price.high)}"
        rows.append(("price", f"{units.usd(price.typical)} an hour{each}, {bounds} seen: {price.source}"))
    return stacked([facts(rows, width, 8), sentences(device.notes, width, "!", "$warning")])


def _gpu(gpu: Gpu) -> Iterator[Fact]:
    reading = gpu.reading
    name = f"{gpu.name} {gpu.profile}".strip().removeprefix("NVIDIA ")
    figures = [
        _memory(gpu),
        f"{reading.temperature_c} °C" if reading.temperature_c is not None else "",
        f"{reading.utilisation_percent} % load" if reading.utilisation_percent is not None else "",
        f"{reading.power_watts:.0f} W" if reading.power_watts is not None else "",
    ]
    text = Content.assemble(
        (plain(name, lines=False), "bold"), "  ", " · ".join(figure for figure in figures if figure)
    )
    yield f"GPU {gpu.index}", text
    for process in gpu.processes:
        who = process.name or "a program outside this container"
        size = f", {units.memory(process.memory_bytes)}" if process.memory_bytes is not None else ""
        yield (
            "",
            Content.assemble(("! ", "bold $warning"), f"used by {plain(who, lines=False)}, pid {process.pid}{size}"),
        )


def _memory(gpu: Gpu) -> str:
    if gpu.memory_bytes is None:
        return "memory unknown"
    free = f", {gpu.free_bytes / units.GIB:.1f} free" if gpu.free_bytes is not None else ""
    return units.gib(gpu.memory_bytes) + free


def _software(hardware: Hardware) -> Iterator[str]:
    if hardware.driver:
        yield hardware.driver + (f", up to CUDA {_dotted(hardware.driver_cuda)}" if hardware.driver_cuda else "")
    if hardware.torch is None:
        yield "torch is not installed"
        return
    build = f"CUDA {_dotted(hardware.torch.cuda)}" if hardware.torch.cuda else hardware.torch.hip or "CPU build"
    version = hardware.torch.version.partition("+")[0]
    yield f"torch {version} ({build})" if hardware.driver else f"{version} ({build})"


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _cpu(hardware: Hardware) -> str:
    cpu = hardware.cpu
    usable = (
        f"{cpu.usable_cores:g} of {cpu.logical_cores} cores"
        if cpu.usable_cores < cpu.logical_cores
        else (f"{cpu.logical_cores} cores")
    )
    return f"{cpu.name}, {usable}{', bf16' if cpu.bf16 else ''}"


def _ram(hardware: Hardware) -> str:
    ram = hardware.ram
    limit = ", limited by the container" if ram.limited else ""
    return f"{units.gib(ram.total_bytes)}, {ram.available_bytes / units.GIB:.1f} free{limit}"
