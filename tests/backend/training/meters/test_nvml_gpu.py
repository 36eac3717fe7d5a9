"""The GPU that torch runs on, found by its UUID among GPUs and MIG slices."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from backend.training.meters.nvml_gpu import GpuMeter
from tests.backend.hardware.boxes import MIB, Card, Nvml, mig_card


def on(uuid: str, monkeypatch: pytest.MonkeyPatch, *cards: Card) -> GpuMeter | None:
    """A meter of the device with this UUID as torch writes it, without the `GPU-` or `MIG-` prefix."""
    Nvml(list(cards)).install(monkeypatch)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=uuid))
    return GpuMeter.of_torch()


def test_a_whole_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = on("2222", monkeypatch, Card(uuid="GPU-1111"), Card(uuid="GPU-2222", used=900 * MIB))
    assert meter is not None
    reading = meter.read()
    assert (reading.utilisation_percent, reading.temperature_c, reading.power_watts) == (97, 71, 402.5)
    assert reading.used_bytes == 900 * MIB


def test_a_mig_slice_has_its_own_memory_and_the_gpus_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    card = mig_card()
    assert card.slices is not None
    card.slices[0].used = 500 * MIB
    meter = on("3333", monkeypatch, card)
    assert meter is not None
    reading = meter.read()
    assert (reading.used_bytes, reading.temperature_c) == (500 * MIB, 71)
    assert (reading.utilisation_percent, reading.power_watts) == (None, None)


def test_no_driver_library_and_an_unknown_device_have_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert on("9999", monkeypatch, Card(uuid="GPU-1111")) is None
    Nvml([], init_error=12).install(monkeypatch)
    assert GpuMeter.of_torch() is None
