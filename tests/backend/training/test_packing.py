from __future__ import annotations

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from backend.planner.plan import Plan
from backend.training.batches import micro_batches
from backend.training.checks import packs
from backend.training.loss import whole
from tests.backend.training.families import FAMILIES, network
from tests.backend.training.helpers import random_rows

SETTINGS = Plan(precision="float32", max_length=200)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_logits_equal_those_of_separate_rows(family: str, attention: str) -> None:
    model = network(family, attention)
    rows = random_rows(6, longest=30)
    (batch,) = micro_batches(rows, SETTINGS, "cpu")
    with torch.no_grad():
        packed = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits[0]
        start = 0
        for ids, _ in rows:
            alone = model(input_ids=torch.from_numpy(ids).long()[None], use_cache=False).logits[0]
            torch.testing.assert_close(packed[start : start + len(ids)], alone, rtol=1e-4, atol=1e-5)
            start += len(ids)
    assert start == batch.tokens


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_padded_and_flat_rows_have_the_same_loss_and_gradients(family: str) -> None:
    model = network(family)
    rows = random_rows(6, longest=30)
    found = []
    for packing, micro, flat in ((True, 1, False), (False, 1, False), (False, 6, False), (False, 3, True)):
        model.zero_grad()
        settings = Plan(precision="float32", max_length=200, packing=packing, micro_batch=micro)
        total = sum(whole(model)(batch) for batch in micro_batches(rows, settings, "cpu", flat=flat))
        assert isinstance(total, torch.Tensor)
        total.backward()  # type: ignore[no-untyped-call]
        found.append((total.detach(), model.get_input_embeddings().weight.grad.clone()))
    for loss, gradient in found[1:]:
        torch.testing.assert_close(loss, found[0][0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_these_families_pack(family: str) -> None:
    assert packs(network(family).eval(), SETTINGS, "cpu")


def test_a_recurrent_model_does_not_pack() -> None:
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=384, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=0.2)
    assert not packs(MambaForCausalLM(config), SETTINGS, "cpu")
