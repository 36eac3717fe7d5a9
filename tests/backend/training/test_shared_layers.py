"""Layers that share a weight (Zamba's blocks) share its adapter too, which is merged into that weight once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from backend.errors import UserError
from backend.model import stored
from backend.training import adapters, auto
from backend.training.merging import whole

pytestmark = pytest.mark.torch


class Twice(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.two.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.two(torch.tanh(self.one(x))))

    def save_pretrained(self, folder: Path) -> None:
        torch.save(self.state_dict(), folder / "weights.pt")


def adapted(model: nn.Module, *, dora: bool) -> Any:
    torch.manual_seed(1)
    made = get_peft_model(model, LoraConfig(r=2, target_modules=["one", "two"], use_dora=dora))
    for name, parameter in made.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.3)
    return made


@pytest.mark.parametrize("dora", [False, True])
def test_it_trains_once_and_merges_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dora: bool) -> None:
    torch.manual_seed(0)
    base, x = Twice(), torch.randn(3, 8)
    weights = {name: value.clone() for name, value in base.state_dict().items()}
    model = adapted(base, dora=dora)
    adapters.share(model)
    wanted = model(x)
    model.save_pretrained(tmp_path / "adapter")

    fresh = Twice()
    fresh.load_state_dict(weights)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 * (8 + 8) + 8 * dora
    assert torch.allclose(PeftModel.from_pretrained(fresh, tmp_path / "adapter")(x), wanted, atol=1e-6)

    again = Twice()
    again.load_state_dict(weights)
    monkeypatch.setattr(auto, "load", lambda folder, dtype: again)
    monkeypatch.setattr(stored, "dtype", lambda folder: "float32")
    monkeypatch.setattr(whole, "refuse_little_ram", lambda *arguments: None)
    whole.merge(tmp_path, tmp_path / "adapter", tmp_path)
    merged = Twice()
    merged.load_state_dict(torch.load(tmp_path / "weights.pt"))
    assert torch.allclose(merged(x), wanted, atol=1e-5)


def test_two_adapters_for_one_weight_are_not_merged(tmp_path: Path) -> None:
    together = adapted(Twice(), dora=False)
    with pytest.raises(UserError, match="blocks of this model share weights"):
        whole._once(together)
