from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, AutoConfig, AutoModelForCausalLM

from backend.plan.plan import Plan
from backend.training.batches import micro_batches
from backend.training.checks import can_chunk, packs
from backend.training.loss import chunked, whole
from backend.training.parallel.execution import Execution
from tests.backend.training.families import FAMILIES, network
from tests.backend.training.helpers import random_rows

SETTINGS = Plan(precision="float32", max_length=200)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_logits_equal_those_of_separate_rows(family: str, attention: str) -> None:
    model = network(family, attention)
    rows = random_rows(6, longest=30)
    (batch,) = micro_batches(rows, Execution(SETTINGS, "cpu"))
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
        total = sum(whole(model)(batch) for batch in micro_batches(rows, Execution(settings, "cpu", flat=flat)))
        assert isinstance(total, torch.Tensor)
        total.backward()  # type: ignore[no-untyped-call]
        found.append((total.detach(), model.get_input_embeddings().weight.grad.clone()))
    for loss, gradient in found[1:]:
        torch.testing.assert_close(loss, found[0][0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_these_families_pack(family: str) -> None:
    assert packs(network(family).eval(), Execution(SETTINGS, "cpu"))


SIZES = {
    "vocab_size": 384,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LINEAR = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
LEAKING: dict[str, dict[str, Any]] = {
    "mamba": {"vocab_size": 384, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    "lfm2": SIZES | {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "qwen3_5_text": SIZES | LINEAR | {"head_dim": 16},
    "falcon_h1": SIZES
    | {"head_dim": 16, "mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 16},
}


@pytest.mark.parametrize("family", LEAKING)
def test_rows_that_share_states_or_convolutions_are_not_packed(family: str) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **LEAKING[family]))
    assert not packs(model, Execution(SETTINGS, "cpu"))


def test_dropout_is_no_reason_not_to_pack() -> None:
    model = network("llama")
    model.config.attention_dropout = 0.5
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    assert packs(model.train(), Execution(SETTINGS, "cpu")) and model.training
    assert can_chunk(model, Execution(SETTINGS, "cpu")) and model.training


def varlen(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: None, **options: Any) -> tuple[Tensor, None]:
    """What flash attention computes for packed rows, from their start offsets alone."""
    assert query.shape[0] == 1 and mask is None
    starts = options["cu_seq_lens_q"].tolist()
    assert options["max_length_q"] == max(end - start for start, end in pairwise(starts))
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    parts = []
    for start, end in pairwise(starts):
        q, k, v = (x[:, :, start:end] for x in (query, key, value))
        parts.append(scaled_dot_product_attention(q, k, v, is_causal=True))
    return torch.cat(parts, dim=2).transpose(1, 2), None


@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_flat_rows_are_told_apart_by_their_starts(family: str, chunks: bool) -> None:
    AttentionInterface.register("varlen", varlen)
    AttentionMaskInterface.register("varlen", lambda *_, **__: None)
    rows, settings = random_rows(6, longest=30), Plan(precision="float32", max_length=60, micro_batch=9)
    loss_of = chunked if chunks else whole
    (batch,) = micro_batches(rows, Execution(settings, "cpu", flat=True))
    usual = sum(loss_of(network(family))(x) for x in micro_batches(rows, Execution(settings, "cpu")))
    torch.testing.assert_close(loss_of(network(family, "varlen"))(batch), usual, rtol=1e-5, atol=1e-4)
