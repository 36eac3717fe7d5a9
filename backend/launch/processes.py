"""Changes the number of processes of a run that is resumed on a box with more or fewer GPUs than it began on."""

from __future__ import annotations

from dataclasses import asdict, replace

from backend.errors import wont_do
from backend.hardware import detect
from backend.planner import devices, kernels, several
from backend.planner.device import Device
from backend.run import plan_file
from backend.run.folder import RunFolder

_CONCERNED = ("method", "optimizer", "compile", "kernels")
"""Settings that don't go with any number of processes."""


def change(folder: RunFolder, count: int) -> None:
    """Let the run go on with `count` processes, each on a device of this box; the effective batch stays.

    Raises UserError if this box has fewer, or if the run's settings don't allow it.
    """
    if count < 1:
        raise wont_do("processes", count, "a whole number of at least 1")
    job = folder.job()
    if count == job.plan.processes:
        return
    device = _devices(job.device, count)
    settings = {name: value for name, value in asdict(job.plan).items() if name in _CONCERNED} | {"processes": count}
    several.refuse(job.plan.method, device, settings, job.plan.effective_batch)
    kernels.refuse(device, settings)
    predicted = job.predicted and replace(job.predicted, uncorrected=None)  # made for another number of processes
    plan = replace(job.plan, processes=count)
    plan_file.write(folder.plan_file, replace(job, plan=plan, device_uuids=device.uuids, predicted=predicted))


def _devices(kind: str, count: int) -> Device:
    found = devices.named(devices.CPU) if kind == "cpu" else devices.here(detect())
    return several.take(found, min(count, several.most(found)))
