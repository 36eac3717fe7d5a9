"""QLoRA's gradients on the CPU against the same model with its weights dequantised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bitsandbytes
import torch
from bitsandbytes.functional import dequantize_4bit

from backend.training import methods
from backend.training.batches import micro_batches
from backend.training.evaluate import held_out_loss
from backend.training.loss import whole
from backend.training.parallel.execution import Execution
from tests.backend.training.helpers import assert_same, gradients, loaded, plan, random_rows

ROWS = random_rows(8)
SETTINGS = plan("qlora", max_length=512)


def dequantised_twin(quantised: methods.Loaded, model: Path) -> methods.Loaded:
    """A LoRA model whose base holds the dequantised 4-bit weights, with the same adapters."""
    twin = loaded(model, plan("lora"))
    linears = dict(twin.model.named_modules())
    with torch.no_grad():
        for name, module in quantised.model.named_modules():
            if isinstance(module, bitsandbytes.nn.Linear4bit):
                linears[name].weight.copy_(dequantize_4bit(module.weight.data, module.weight.quant_state))
        for name, parameter in twin.trainable().items():
            parameter.copy_(quantised.trainable()[name])
    return twin


def evaluate(it: methods.Loaded) -> float:
    rows: Any = ROWS
    found = held_out_loss(it.network, whole(it.network), rows, Execution(SETTINGS, "cpu"), lambda: False)
    assert found is not None
    return found


def test_gradients_after_an_evaluation_equal_the_dequantised_reference(tiny_model: Path) -> None:
    it = loaded(tiny_model, SETTINGS)
    twin = dequantised_twin(it, tiny_model)
    quantised = [m for m in it.network.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(quantised) == 14
    loss, before = gradients(it, ROWS, SETTINGS)
    assert abs(evaluate(it) - evaluate(twin)) < 1e-4
    loss_after, after = gradients(it, ROWS, SETTINGS)
    reference_loss, reference = gradients(twin, ROWS, SETTINGS)
    assert abs(loss - reference_loss) < 1e-4
    assert loss_after == loss
    assert_same(before, reference, 1e-4)
    assert_same(after, reference, 1e-4)


def test_the_base_stays_as_it_is(tiny_model: Path) -> None:
    it = loaded(tiny_model, SETTINGS)
    assert all("lora_" in name for name in it.trainable())
    assert {p.dtype for p in it.trainable().values()} == {torch.float32}
    layer = next(m for m in it.network.modules() if isinstance(m, bitsandbytes.nn.Linear4bit))
    assert layer.weight.quant_state.nested and layer.weight.quant_state.quant_type == "nf4"
    packed = layer.weight.data.clone()
    evaluate(it)
    assert torch.equal(layer.weight.data, packed)


def test_a_16_bit_base_keeps_float32_adapters(tiny_model: Path) -> None:
    settings = plan("qlora", precision="bfloat16")
    it = loaded(tiny_model, settings)
    assert it.network.get_input_embeddings().weight.dtype == torch.bfloat16
    assert {p.dtype for p in it.trainable().values()} == {torch.float32}
    loss, found = gradients(it, ROWS, settings)
    exact, reference = gradients(loaded(tiny_model, SETTINGS), ROWS, SETTINGS)
    assert abs(loss - exact) < 0.02
    assert_same(found, reference, 0.1)
    assert micro_batches(ROWS, Execution(settings, "cpu"))[0].scored > 0
