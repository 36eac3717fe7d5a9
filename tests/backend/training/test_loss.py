from __future__ import annotations

import pytest
import torch

from backend.plan.plan import Plan
from backend.training.batches import micro_batches
from backend.training.loss import can_chunk, chunk_rows, chunked, whole
from backend.training.parallel.execution import Execution
from tests.backend.training.families import network
from tests.backend.training.helpers import random_rows

ROWS = random_rows(24, longest=60)
SETTINGS = Plan(precision="float32", max_length=300, micro_batch=2)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "cohere", "granite"])
@pytest.mark.parametrize("frozen_head", [False, True])
def test_chunked_equals_whole(family: str, frozen_head: bool) -> None:
    model = network(family)
    model.get_output_embeddings().weight.requires_grad_(not frozen_head)
    (batch, *_) = micro_batches(ROWS, Execution(SETTINGS, "cpu"))
    assert chunk_rows(batch.predict.numel(), 32, 384) < batch.predict.numel(), "several chunks are meant"
    found = []
    for loss_of in (whole(model), chunked(model)):
        model.zero_grad()
        loss = loss_of(batch)
        (loss / 7).backward()  # type: ignore[no-untyped-call]
        found.append((loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    (loss, expected), (ours, gradients) = found
    torch.testing.assert_close(ours, loss, rtol=1e-6, atol=1e-4)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_in_16_bits_the_sum_is_not_rounded() -> None:
    model = network("llama")
    (batch, *_) = micro_batches(ROWS, Execution(SETTINGS, "cpu"))
    with torch.no_grad():
        exact = chunked(model)(batch)
        with torch.autocast("cpu", torch.bfloat16):
            ours, model_own = chunked(model)(batch), whole(model)(batch)
    assert ours.dtype == model_own.dtype == torch.float32
    torch.testing.assert_close(ours, model_own, rtol=2e-4, atol=0)
    assert ours != ours.bfloat16().float()
    torch.testing.assert_close(ours, exact, rtol=1e-2, atol=0)


def test_a_head_that_is_not_plain_is_not_chunked() -> None:
    model = network("llama")
    (batch, *_) = micro_batches(ROWS, Execution(SETTINGS, "cpu"))
    assert can_chunk(model, batch)
    model.set_output_embeddings(torch.nn.Sequential(model.get_output_embeddings()))
    assert not can_chunk(model, batch)


def test_a_family_that_changes_its_logits_in_an_unknown_way_is_not_chunked() -> None:
    model = network("cohere")
    (batch, *_) = micro_batches(ROWS, Execution(SETTINGS, "cpu"))
    assert can_chunk(model, batch)
    model.config.logit_scale = 9.0  # the model itself keeps its own
    assert not can_chunk(model, batch)


def test_an_evaluation_makes_no_gradient_of_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network("llama")
    (batch, *_) = micro_batches(ROWS, Execution(SETTINGS, "cpu"))
    like, made = torch.zeros_like, []

    def zeros_like(x: torch.Tensor) -> torch.Tensor:
        made.append(tuple(x.shape))
        return like(x)

    monkeypatch.setattr(torch, "zeros_like", zeros_like)
    with torch.no_grad():
        evaluated = chunked(model)(batch)
    assert made == []
    assert evaluated == chunked(model)(batch).detach()
    assert (384, 32) in made
