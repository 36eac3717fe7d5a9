"""The plan fields `kernels` and `measure_kernels`: what is available, what the user set, what this box measured."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend.errors import UserError
from backend.measured import kernels
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.device import Device
from backend.planner.rules import Pinned

LIGER = "liger_kernel"
"""The package of the fused kernels."""


def refuse(device: Device, settings: Mapping[str, Any]) -> None:
    """Raise UserError for kernels that the device or this box does not have, or that contradict `compile`."""
    wanted = settings.get("kernels")
    if wanted == "fused" and device.kind == "cpu":
        raise UserError("kernels: fused runs on a GPU only; leave kernels out, or set stock", "kernels")
    if wanted == "fused" and device.here and not importlib.util.find_spec(LIGER):
        raise UserError(
            "kernels: fused needs the package liger-kernel, which is not installed; leave kernels out, or install it "
            "with: pip install 'fttui[fused]'",
            "kernels",
        )
    if wanted is not None and "compile" in settings and settings["compile"] != (wanted == "compiled"):
        raise UserError(
            f"compile: {str(settings['compile']).lower()} contradicts kernels={wanted}; leave one of them out",
            "compile",
        )
    if wanted == "compiled" and settings.get("method") == "full" and int(settings.get("processes", 1)) > 1:
        raise UserError("kernels: a sharded model is not compiled; leave kernels out, or set processes=1", "kernels")


def settled(plan: Plan, shape: ModelShape, device: Device, pinned: Pinned) -> Plan:
    """The plan with its kernels: the user's, or the fastest that a run measured here; else a run on a GPU measures."""
    if plan.compile or plan.kernels == "compiled":
        return replace(plan, kernels="compiled", compile=True)
    if "kernels" in pinned.values or device.kind == "cpu" or plan.processes > 1 or plan.objective != "sft":
        return plan
    name = kernels.key(device.name, shape.family, shape.hidden, shape.layers, plan)
    found = dict(device.kernels).get(name)
    if found is not None:
        return replace(plan, kernels=found, compile=found == "compiled")
    return replace(plan, measure_kernels=pinned.values.get("measure_kernels", device.here))
