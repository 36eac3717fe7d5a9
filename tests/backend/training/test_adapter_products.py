"""Adapters whose products are computed together: losses and gradients equal peft's own, and so does what is saved."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import profile

from backend.plan.plan import Plan
from backend.training import adapter_products, methods
from backend.training.batches import micro_batches
from backend.training.loss import whole
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from tests.backend.training.families import FAMILIES, network
from tests.backend.training.helpers import random_rows


def adapted(family: str, plan: Plan, fused: bool, seed: int = 1) -> tuple[Any, Any]:
    """The peft model, with adapters that are not zero, and the network that runs.

    Its weights have 16 bits of information, whatever their type.
    """
    base = network(family).to(torch.bfloat16).to(getattr(torch, plan.precision))
    model = methods.with_adapters(base, "base", plan)
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    if fused:
        adapter_products.fuse(model.base_model.model, join=True)
    return model, model.base_model.model


def loss_and_gradients(running: Any, plan: Plan) -> tuple[Tensor, Tensor]:
    with autocast(plan, "cpu"):
        total = sum(whole(running)(x) for x in micro_batches(random_rows(6, longest=30), Execution(plan, "cpu")))
    assert isinstance(total, Tensor)
    total.backward()  # type: ignore[no-untyped-call]
    trained = [p for p in running.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)
    return total.detach(), torch.cat([p.grad.flatten() for p in trained])


@pytest.mark.parametrize("targets", ["all-linear", "q_proj,v_proj,down_proj"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_are_those_of_peft(family: str, targets: str) -> None:
    plan = Plan(method="lora", quantization="none", precision="float32", rank=4, target_modules=targets)
    (loss, gradient), (own_loss, own_gradient) = (
        loss_and_gradients(adapted(family, plan, fused)[1], plan) for fused in (False, True)
    )
    torch.testing.assert_close(own_loss, loss, rtol=1e-5, atol=1e-4)
    assert (own_gradient - gradient).norm() < 1e-4 * gradient.norm()


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma3_text"])
def test_in_16_bits_they_are_no_farther_from_the_truth_than_peft_is(family: str) -> None:
    narrow = Plan(method="lora", quantization="none", rank=4)
    exact = Plan(method="lora", quantization="none", precision="float32", rank=4)
    errors = [0.0, 0.0]
    for seed in range(5):
        _, truth = loss_and_gradients(adapted(family, exact, False, seed)[1], exact)
        for number, fused in enumerate((False, True)):
            _, gradient = loss_and_gradients(adapted(family, narrow, fused, seed)[1], narrow)
            errors[number] += float((gradient - truth).norm() / truth.norm())
    assert errors[1] < 1.2 * errors[0], errors


def test_what_is_saved_is_what_peft_saves(tmp_path: Path) -> None:
    plan = Plan(method="lora", quantization="none", precision="float32", rank=4)
    for fused in (False, True):
        adapted("llama", plan, fused)[0].save_pretrained(tmp_path / str(fused))
    one, other = ((tmp_path / str(x) / "adapter_model.safetensors").read_bytes() for x in (False, True))
    assert one == other


def test_switched_off_adapters_leave_the_base() -> None:
    plan = Plan(method="lora", quantization="none", precision="float32", rank=4)
    model, running = adapted("llama", plan, fused=True)
    ids = torch.arange(1, 9)[None]
    with torch.no_grad(), model.disable_adapter():
        off = running(input_ids=ids).logits
    plain = network("llama").to(torch.bfloat16).float()
    torch.testing.assert_close(off, plain(input_ids=ids).logits.detach())
    assert not torch.allclose(off, running(input_ids=ids).logits, atol=1e-3)


def test_dropout_and_dora_stay_with_peft() -> None:
    plan = Plan(method="lora", quantization="none", precision="float32", rank=4, dropout=0.1)
    _, running = adapted("llama", plan, fused=True)
    assert not any("forward" in vars(module) for module in running.modules())


def test_fewer_products_and_fewer_operations() -> None:
    plan = Plan(method="lora", quantization="none", precision="float32", rank=4)  # autocast would count itself
    counts = []
    for fused in (False, True):
        _, running = adapted("llama", plan, fused)
        with profile() as seen:
            loss_and_gradients(running, plan)
        counts.append({x.key: x.count for x in seen.key_averages()})
    products = [sum(count.get(name, 0) for name in ("aten::mm", "aten::addmm")) for count in counts]
    assert products[1] < 0.8 * products[0]
    assert sum(counts[1].values()) < sum(counts[0].values())


def test_the_model_is_freed_with_its_last_reference() -> None:
    plan = Plan(method="lora", quantization="none", precision="float32", rank=4)
    model, running = adapted("llama", plan, fused=True)
    layer = weakref.ref(running.model.layers[0].self_attn.q_proj)
    loss_and_gradients(running, plan)
    gc.collect()
    del model, running
    gc.collect()
    assert layer() is None
