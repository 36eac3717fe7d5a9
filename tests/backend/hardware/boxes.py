"""An in-memory NVML: boxes with the GPUs that a test describes, behind the functions of pynvml."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

GIB = 2**30
MIB = 2**20
RESERVED = 400 * MIB


@dataclass
class Card:
    """A GPU, or a MIG slice inside one. `refuses` maps a call to the error it answers with."""

    name: str = "NVIDIA GeForce RTX 4090"
    uuid: str = "GPU-aaaa1111"
    total: int = 24564 * MIB
    used: int = 0
    capability: tuple[int, int] = (8, 9)
    computing: list[tuple[int, int | None]] = field(default_factory=list)
    drawing: list[tuple[int, int | None]] = field(default_factory=list)
    slices: list[Card] | None = None
    """Its MIG slices; None where MIG is off."""
    slice_count: int = 0
    refuses: dict[str, int] = field(default_factory=dict)
    v2: bool = True
    """The driver knows the newer memory call."""


class Nvml:
    """The functions of pynvml over some cards."""

    def __init__(self, cards: list[Card], init_error: int | None = None, cuda: int = 13000) -> None:
        self.cards, self.init_error, self.cuda = cards, init_error, cuda
        self.open = 0
        """Starts without their shutdown."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Nvml:
        for function in [name for name in vars(Nvml) if name.startswith("nvml")]:
            monkeypatch.setattr(pynvml, function, self._guarded(function))
        return self

    def _guarded(self, function: str) -> Callable[..., Any]:
        """The function, which first raises the error that the card it is called for refuses with, if any."""

        def call(*arguments: Any) -> Any:
            card = arguments[0] if arguments else None
            if isinstance(card, int):
                card = self.cards[card]
            if isinstance(card, Card) and function in card.refuses:
                raise pynvml.NVMLError(card.refuses[function])
            return getattr(self, function)(*arguments)

        return call

    def nvmlInit(self) -> None:  # noqa: N802
        if self.init_error is not None:
            raise pynvml.NVMLError(self.init_error)
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.65.06"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return self.cuda

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:  # noqa: N802
        return self.cards[index]

    def nvmlDeviceGetUUID(self, card: Card) -> str:  # noqa: N802
        return card.uuid

    def nvmlDeviceGetName(self, card: Card) -> str:  # noqa: N802
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card: Card, version: int | None = None) -> SimpleNamespace:  # noqa: N802
        if version and not card.v2:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        reserved = {"reserved": RESERVED} if version else {}
        free = card.total - card.used - RESERVED
        return SimpleNamespace(total=card.total, used=card.used, free=free, **reserved)

    def nvmlDeviceGetCudaComputeCapability(self, card: Card) -> list[int]:  # noqa: N802
        return list(card.capability)

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=97, memory=40)

    def nvmlDeviceGetTemperature(self, card: Card, sensor: int) -> int:  # noqa: N802
        return 71

    def nvmlDeviceGetPowerUsage(self, card: Card) -> int:  # noqa: N802
        return 402_500

    def nvmlDeviceGetEnforcedPowerLimit(self, card: Card) -> int:  # noqa: N802
        return 450_000

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card) -> list[SimpleNamespace]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in card.computing]

    def nvmlDeviceGetGraphicsRunningProcesses(self, card: Card) -> list[SimpleNamespace]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in card.drawing]

    def nvmlDeviceGetMigMode(self, card: Card) -> list[int]:  # noqa: N802
        return [int(card.slices is not None), int(card.slices is not None)]

    def nvmlDeviceGetMaxMigDeviceCount(self, card: Card) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, index: int) -> Card:  # noqa: N802
        if index >= len(card.slices or ()):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        assert card.slices is not None
        return card.slices[index]

    def nvmlDeviceGetAttributes_v2(self, card: Card) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpuInstanceSliceCount=card.slice_count)


def mig_card() -> Card:
    """An A100 with a 3g.20gb and a 1g.5gb slice, whose calls refuse what real slices refuse."""
    refuses = dict.fromkeys(
        (
            "nvmlDeviceGetUtilizationRates",
            "nvmlDeviceGetTemperature",
            "nvmlDeviceGetPowerUsage",
            "nvmlDeviceGetEnforcedPowerLimit",
            "nvmlDeviceGetCudaComputeCapability",
            "nvmlDeviceGetMigMode",
        ),
        pynvml.NVML_ERROR_NOT_SUPPORTED,
    )
    name = "NVIDIA A100-SXM4-40GB"
    slices = [
        Card(f"{name} MIG 3g.20gb", "MIG-3333", 20096 * MIB, slice_count=3, refuses=refuses),
        Card(f"{name} MIG 1g.5gb", "MIG-1111", 4864 * MIB, slice_count=1, refuses=refuses),
    ]
    return Card(name, "GPU-a100", 40960 * MIB, capability=(8, 0), slices=slices)
