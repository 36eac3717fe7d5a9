"""What this box can do, what is missing, and the command that fixes it. Loads torch in a process of its own only."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from backend import logind, paths, typed
from backend.errors import UserError
from backend.hardware import Gpu, Hardware, NotAvailable, catalogue, detect, host, pci, segments, torch_build
from backend.hardware.rate import bf16_gain, does_bf16_well
from backend.hardware.types import AbsenceKind
from backend.measured import records
from backend.model import demo
from backend.planner import devices
from backend.tested import UP_TO
from backend.training.selfcheck import FourBit
from backend.units import disk, gib, memory

State = Literal["ok", "warn", "missing"]
DISTRIBUTION = "fttui"
DISK_BYTES = 20e9
"""An 8B base in 16 bits takes 16 GB, its adapter's checkpoints little more."""
RAM_BYTES = 8 * 2**30
"""Loading and saving passes weights through host memory."""
SHARED_FIX = "docker run --shm-size=8g ...  (or --ipc=host)"
NO_CUDA_FIX = "nvidia-smi  (in a container: start it with --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility)"
SELFCHECK_SECONDS = 180
REINSTALL = "pip install --upgrade --force-reinstall torch transformers peft bitsandbytes"

GPU_MENDS: dict[AbsenceKind, str] = {
    "no-library": "sudo ubuntu-drivers install  (in a container: start it with --gpus all)",
    "no-nvml": "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility ...",
    "no-driver": "sudo modprobe nvidia",
    "no-permission": "sudo usermod -aG video,render $USER  (in a container: start it with --gpus all)",
    "version-mismatch": "sudo reboot",
    "no-gpu": "lspci | grep -i nvidia",
    "hidden": "unset CUDA_VISIBLE_DEVICES",
    "failed": "nvidia-smi",
}


@dataclass(frozen=True)
class Check:
    """One thing that was checked."""

    name: str
    state: State
    """`warn`: fttui works, with limits; `missing`: something that it needs is not there."""
    detail: str
    fix: str = ""
    """The command that fixes it; empty if there is nothing to fix."""


def checks(hardware: Hardware | None = None) -> list[Check]:
    """Check everything. Takes some seconds, since the 4-bit check starts a process that imports torch."""
    box = hardware or detect()
    return [
        *_packages(),
        _torch(box),
        *_gpus(box),
        *_several(box),
        *_allocator(box),
        _bf16(box),
        four_bit(_expects_cuda(box)),
        _ram(box),
        _disk(box),
        _home(),
        _calibration(box),
        _tmux(),
        _demo(),
        _logind(),
    ]


def _expects_cuda(box: Hardware) -> bool:
    """Whether the driver shows a GPU that this torch should be able to use."""
    return bool(box.gpus) and not torch_build.disagreements(box.torch, box.driver_cuda, box.gpus)


def four_bit(expects_cuda: bool = False) -> Check:
    """A 4-bit layer's forward and backward pass against its dequantised weights, in a process of its own."""
    name, command = "4-bit training", [sys.executable, "-m", "backend.training.selfcheck"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SELFCHECK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Check(name, "missing", f"no answer after {SELFCHECK_SECONDS} s", " ".join(command))
    if run.returncode != 0:
        reason = _last_line(run.stderr) or "it ended without a word"
        broken = reason.startswith(("ImportError", "ModuleNotFoundError", "OSError"))
        return Check(name, "missing", reason, REINSTALL if broken else " ".join(command))
    return evaluate(typed.from_json(run.stdout.splitlines()[-1], FourBit), expects_cuda)


def evaluate(result: FourBit, expects_cuda: bool = False) -> Check:
    """What the figures of the 4-bit check mean; its device shows whether torch can use the GPU at all."""
    if expects_cuda and result.no_cuda:
        detail = f"the driver shows a GPU, and torch can't use it: {result.no_cuda.rstrip('.')}"
        return Check("4-bit training", "missing", detail, NO_CUDA_FIX)
    detail = (
        f"NF4 on {result.device} in {result.dtype}: output error {result.output_error:.1%}, "
        f"gradient error {result.gradient_error:.1%}"
    )
    if result.exact:
        return Check("4-bit training", "ok", detail)
    return Check("4-bit training", "missing", f"{detail}: wrong results", "pip install --upgrade bitsandbytes")


def package(requirement: Requirement, version: str | None) -> Check:
    """Whether an installed version (None: not installed) is what fttui asks for."""
    fix = f"pip install '{requirement.name}{requirement.specifier}'"
    if version is None:
        return Check(requirement.name, "missing", f"not installed, {requirement.specifier} is needed", fix)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(requirement.name, "missing", f"{version}, {requirement.specifier} is needed", fix)
    tested = UP_TO.get(requirement.name)
    if tested and Version(version).release[:2] > Version(tested).release:
        older = f"pip install '{requirement.name}=={tested}.*'"
        return Check(requirement.name, "warn", f"{version}, newer than {tested}, the last one tested", older)
    return Check(requirement.name, "ok", version)


def _packages() -> Iterator[Check]:
    try:
        metadata = importlib.metadata.metadata(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        yield Check("fttui", "warn", "not installed as a package: versions cannot be checked", "pip install -e .")
        return
    yield _python(str(metadata.json.get("requires_python", "")))
    for requirement in map(Requirement, importlib.metadata.requires(DISTRIBUTION) or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield package(requirement, _version(requirement.name))


def _python(needed: str) -> Check:
    version = platform.python_version()
    fits = SpecifierSet(needed).contains(version, prereleases=True)
    detail = f"{version} ({sys.executable})"
    return Check("python", "ok" if fits else "missing", detail, "" if fits else f"install a Python {needed}")


def _torch(box: Hardware) -> Check:
    build = box.torch
    troubles = torch_build.disagreements(build, box.driver_cuda, box.gpus)
    if build is None or troubles:
        return Check("torch build", "missing", " ".join(x.sentence for x in troubles), troubles[0].fix)
    kind = f"CUDA {build.cuda[0]}.{build.cuda[1]}" if build.cuda else "CPU only"
    cuda = f" for CUDA up to {box.driver_cuda[0]}.{box.driver_cuda[1]}" if box.driver_cuda else ""
    driver = f", driver {box.driver}{cuda}" if box.driver else ""
    return Check("torch build", "ok", f"{build.version}, {kind}{driver}")


def _gpus(box: Hardware) -> Iterator[Check]:
    if box.no_gpu:
        yield _no_gpu(box.no_gpu)
    for gpu in box.gpus:
        yield _gpu(gpu)


def _no_gpu(absence: NotAvailable) -> Check:
    """The check that says why there is no GPU; installing a driver helps only if the box has one."""
    detail = f"{absence.reason} Training is on the CPU."
    if absence.kind == "no-nvml":
        return Check("GPU", "missing", detail, GPU_MENDS[absence.kind])
    if absence.kind in ("no-library", "no-driver") and not pci.has_nvidia_gpu():
        return Check("GPU", "warn", f"{detail} The PCI bus shows no NVIDIA GPU either.")
    return Check("GPU", "warn", detail, GPU_MENDS[absence.kind])


def _gpu(gpu: Gpu) -> Check:
    name = f"GPU {gpu.index}" + (f" {gpu.profile}" if gpu.profile else "")
    if gpu.memory_bytes is None or gpu.free_bytes is None:
        return Check(
            name, "warn", f"{gpu.name}, memory not readable: {gpu.refused.get('memory', 'no answer')}", "nvidia-smi"
        )
    detail = f"{gpu.name}, {gib(gpu.free_bytes)} of {gib(gpu.memory_bytes)} free"
    if not gpu.processes:
        return Check(name, "ok", detail)
    users = ", ".join(
        f"{user.name or 'a program outside this container'} (pid {user.pid}"
        + (f", {memory(user.memory_bytes)})" if user.memory_bytes else ")")
        for user in gpu.processes
    )
    pids = ",".join(str(user.pid) for user in gpu.processes)
    return Check(name, "warn", f"{detail}; in use by {users}", f"ps -fp {pids}  (and stop what is not needed)")


def _several(box: Hardware) -> Iterator[Check]:
    """The version of NCCL, if it is a package of its own as with torch's wheels; NCCL built into torch shows none."""
    build = box.torch
    if len(box.gpus) < 2 or build is None or build.cuda is None:
        return
    if version := _version(f"nvidia-nccl-cu{build.cuda[0]}"):
        device = devices.here(box)
        yield Check("several GPUs", "ok", f"NCCL {version}; a run now would train on {device.label}")
    yield _shared_memory(host.shared_memory_bytes())


def _shared_memory(size: int | None) -> Check:
    """NCCL exchanges data between GPUs without NVLink through /dev/shm, of which a container has 64 MB by default."""
    name = "shared memory"
    if size is None:
        return Check(name, "warn", "/dev/shm can't be read; GPUs without NVLink exchange data through it", SHARED_FIX)
    if size < host.ENOUGH_SHARED_MEMORY:
        lacks = f"/dev/shm has {memory(size)}: GPUs that exchange data through it may fail to start"
        return Check(name, "warn", lacks, SHARED_FIX)
    return Check(name, "ok", f"/dev/shm has {gib(size)}")


def _allocator(box: Hardware) -> Iterator[Check]:
    """Whether torch's allocator can grow its segments in place; without, more memory is lost between tensors."""
    if not box.gpus:
        return
    known = segments.known(box)
    how = "can grow in place" if known.expandable else "cannot grow in place: plans keep more memory free"
    yield Check("allocator", "ok", f"its segments {how} ({known.why})")


def _bf16(box: Hardware) -> Check:
    name = "bfloat16"
    if not box.gpus:
        instructions = [
            word for word, has in (("avx512_bf16", box.cpu.avx512_bf16), ("amx_bf16", box.cpu.amx_bf16)) if has
        ]
        detail = f"the CPU has {' and '.join(instructions)}" if instructions else "not on this CPU"
        gain, fast = bf16_gain(box.cpu), does_bf16_well(box.cpu)
        measured = "" if gain is None else f", measured {gain:.1f} times as fast as float32"
        return Check(name, "ok" if fast else "warn", f"{detail}{measured}{'' if fast else ': float32 is used'}")
    since = catalogue.cuda_rules().bf16_since
    old = [gpu.name for gpu in box.gpus if gpu.compute_capability and gpu.compute_capability < since]
    if old:
        return Check(name, "warn", f"not on {', '.join(dict.fromkeys(old))}: float16 with loss scaling is used")
    return Check(name, "ok", "on every GPU")


def _ram(box: Hardware) -> Check:
    limit = " (limited by the container)" if box.ram.limited else ""
    detail = f"{gib(box.ram.available_bytes)} of {gib(box.ram.total_bytes)} available{limit}"
    enough = box.ram.available_bytes >= RAM_BYTES
    return Check("RAM", "ok" if enough else "warn", detail, "" if enough else "ps aux --sort=-rss | head")


def _disk(box: Hardware) -> Check:
    detail = f"{disk(box.disk_free_bytes)} free at {box.disk_path}"
    enough = box.disk_free_bytes >= DISK_BYTES
    return Check("disk", "ok" if enough else "warn", detail, "" if enough else "export FTTUI_HOME=/a/larger/disk/fttui")


def _home() -> Check:
    try:
        folder = paths.home()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Check("FTTUI_HOME", "ok", f"{folder} can be written")
    except OSError as error:
        return Check("FTTUI_HOME", "missing", str(error), "export FTTUI_HOME=~/fttui")


def _calibration(box: Hardware) -> Check:
    """How many finished runs correct the predictions for this box's device."""
    name = "calibration"
    try:
        device = devices.here(box)
        _, damaged = records.read()
    except OSError as error:
        return Check(name, "warn", f"records of runs can't be read: {error}")
    runs = len(device.calibration.runs) if device.calibration else 0
    detail = f"{runs} finished run{'' if runs == 1 else 's'} on the {device.name}" if runs else "no finished run yet"
    if not damaged:
        return Check(
            name, "ok", f"{detail}; predictions {'are corrected by them' if runs else 'come from the formulas alone'}"
        )
    lines = f"{damaged} line{'' if damaged == 1 else 's'} of {records.FILE} can't be read and are ignored"
    return Check(name, "warn", f"{detail}; {lines}", f"mv {records.file()} {records.file()}.old")


def _tmux() -> Check:
    path = shutil.which("tmux")
    if path:
        return Check("tmux", "ok", path)
    return Check("tmux", "warn", "not installed; a run outlives its terminal all the same", "sudo apt install tmux")


def _demo() -> Check:
    try:
        is_ready = demo.is_ready()
    except OSError as error:  # a closed home: its own check says what to do
        return Check("demo model", "warn", str(error))
    if is_ready:
        return Check("demo model", "ok", str(demo.folder()))
    try:
        demo.source()
    except UserError as error:
        detail, _, fix = str(error).partition("; run: ")
        return Check("demo model", "warn", detail, fix)
    command = f"{sys.executable} -m backend.training.demo_model"
    return Check("demo model", "warn", "not converted yet: the first use does it, or this command", command)


def _logind() -> Check:
    name, scope = "after logout", "loginctl enable-linger; systemd-run --user --scope fttui"
    if logind.kills_processes():
        return Check(name, "warn", "KillUserProcesses of logind ends your programs when you log out", scope)
    return Check(name, "ok", "logind lets a run go on when you log out")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
