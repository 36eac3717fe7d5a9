"""Rows for new tokens, trained without a copy of the matrix: losses and gradients are peft's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from backend.plan.plan import Plan
from backend.training import loss, methods, token_rows
from backend.training.batches import micro_batches
from backend.training.forgetting.tokens import Predictions, adapters_off
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.start import Start
from tests.backend.training.families import network
from tests.backend.training.helpers import assert_same, plan, random_rows

NEW = Start(tuple(range(40, 60)))


def made(family: str, tied: bool, settings: Plan) -> Any:
    """A network with adapters and rows changed from their initial values, the same for the same family."""
    it = network(family)
    it.config.tie_word_embeddings = tied
    embedding, head = it.get_input_embeddings(), it.get_output_embeddings()
    head.weight = embedding.weight if tied else torch.nn.Parameter(head.weight.detach().flip(0).clone())
    torch.manual_seed(0)
    it = methods.with_adapters(it, "x", settings, NEW).base_model.model
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in it.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.05)
    return it


def gradients(it: Any, settings: Plan) -> tuple[float, dict[str, Tensor]]:
    execution = Execution(settings, "cpu")
    (batch,) = micro_batches(random_rows(4), execution)
    with autocast(settings, "cpu"):
        found = (loss.chunked if settings.chunked_loss else loss.whole)(it)(batch)
    found.backward()  # type: ignore[no-untyped-call]
    return float(found.detach()), {name: p.grad for name, p in it.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("family", "tied"), [("llama", True), ("llama", False), ("gemma3_text", True), ("cohere", True)]
)
@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_they_are_pefts_own(family: str, tied: bool, chunked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = plan("lora", micro_batch=4, packing=False, chunked_loss=chunked)
    ours = gradients(made(family, tied, settings), settings)
    monkeypatch.setattr(token_rows, "replace_forward", lambda model: None)
    theirs = gradients(made(family, tied, settings), plan("lora", micro_batch=4, packing=False))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert_same(ours[1], theirs[1], 1e-4)
    assert sum("trainable_tokens_delta" in name for name in ours[1]) == (1 if tied else 2)


@pytest.mark.parametrize("tied", [True, False])
def test_with_adapters_off_it_is_the_base(tied: bool) -> None:
    settings = plan("lora", micro_batch=4, packing=False)
    it = made("llama", tied, settings)
    (batch,) = micro_batches(random_rows(4), Execution(settings, "cpu"))
    with torch.no_grad():
        before = loss.whole(it)(batch)
        with adapters_off(it):
            base = loss.whole(it)(batch)
            assert float(loss.chunked(it)(batch)) == pytest.approx(float(base), rel=1e-5)
        for parameter in it.parameters():
            if parameter.requires_grad:
                parameter.normal_()
        with adapters_off(it):
            assert float(loss.whole(it)(batch)) == float(base) != float(before)
        states = Predictions(it, can_chunk=True).states(batch)
        assert list(Predictions(it, can_chunk=True).slices(states))


def test_in_16_bits_a_chunked_loss_is_the_whole_one() -> None:
    found = [
        gradients(made("llama", True, settings), settings)
        for settings in (
            plan("lora", micro_batch=4, packing=False, precision="bfloat16", chunked_loss=chunked)
            for chunked in (False, True)
        )
    ]
    assert found[0][0] == pytest.approx(found[1][0], rel=2e-3)
    assert_same(found[1][1], found[0][1], 0.1)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "granite", "cohere"])
def test_dora_begins_as_the_base_and_trains_in_every_family(family: str) -> None:
    settings = plan("lora", micro_batch=4, packing=False, use_dora=True, use_rslora=True)
    (batch,) = micro_batches(random_rows(4), Execution(settings, "cpu"))
    with torch.no_grad():
        wanted = loss.whole(network(family))(batch)
    it = methods.with_adapters(network(family), "x", settings).base_model.model
    found, slopes = gradients(it, settings)
    assert found == pytest.approx(float(wanted), rel=1e-5)
    lengths = {name: slope for name, slope in slopes.items() if "lora_magnitude_vector" in name}
    assert len(lengths) == 14 and all(slope.abs().max() > 0 for slope in lengths.values())
