"""Packed rows attended row by row: the same losses and gradients as with a mask of the whole sequence."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from backend.answers import Method
from backend.data.packing import LENGTHS
from backend.plan.plan import Plan
from backend.training import checks, methods
from backend.training.attention import rows, segments
from backend.training.batches import micro_batches
from backend.training.loss import chunked, whole
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.train import train
from tests.backend.training.families import FAMILIES, network
from tests.backend.training.helpers import ALL, losses, new_run, random_rows

SETTINGS = Plan(precision="float32", max_length=200)
WITH_SDPA = [family for family in FAMILIES if family != "gemma2"]


def masked(
    query: Tensor, key: Tensor, value: Tensor, bounds: tuple[int, ...], scale: float, window: int | None
) -> Tensor:
    """The attention mask of the whole sequence that these row bounds stand for."""
    tokens, groups = query.shape[2], query.shape[1] // key.shape[1]
    row = torch.repeat_interleave(torch.tensor([end - start for start, end in pairwise(bounds)]))
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)
    sees = (row[:, None] == row) & (distance >= 0) & (distance < (window or tokens))
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    return scaled_dot_product_attention(query, key, value, attn_mask=sees, scale=scale).transpose(1, 2)


@pytest.mark.parametrize("bounds", [(0, 30, 47, 60), (0, 20), (0, 600, 640)], ids=["short", "one", "long"])
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("heads", [(6, 2), (4, 4)], ids=["grouped", "equal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_row_by_itself_is_what_a_mask_makes_of_it(
    bounds: tuple[int, ...], window: int | None, heads: tuple[int, int], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    made = (torch.randn(1, bounds[-1], n, 8, dtype=dtype).transpose(1, 2) for n in (*heads, heads[1]))
    query, key, value = (x.requires_grad_() for x in made)
    above = torch.randn(1, bounds[-1], heads[0], 8, dtype=dtype)
    found = []
    for attend in (segments.attend, masked):
        out = attend(query, key, value, bounds, 0.35, window)
        found.append((out, *torch.autograd.grad(out, (query, key, value), above)))
    rtol, atol = (1e-4, 1e-5) if dtype == torch.float32 else (5e-2, 5e-2)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


def loss_and_gradient(family: str, attention: Any, precision: Any, loss_of: Any) -> tuple[Tensor, Tensor]:
    plan = replace(SETTINGS, attention=attention, precision=precision, max_length=60, micro_batch=9)
    model = network(family, methods.implementation(attention))
    with autocast(plan, "cpu"):
        batches = micro_batches(random_rows(6, longest=30), Execution(plan, "cpu", flat=attention == "varlen"))
        total = sum(loss_of(model)(x) for x in batches)
    assert isinstance(total, Tensor)
    total.backward()  # type: ignore[no-untyped-call]
    return total.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("says_grouped", [False, True], ids=["torch-2.11", "torch-2.13"])
def test_a_gpu_gets_flat_heads_the_window_and_what_its_torch_takes(
    window: int | None, says_grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = (0, 30, 47)
    query, key, value = (torch.randn(1, 47, n, 8).transpose(1, 2) for n in (6, 2, 2))
    seen: list[bool] = []

    def kernel(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, ends: Tensor, *_: int, **options: Any) -> Tensor:
        assert q.shape == (47, 6, 8) and k.shape == (47, 2, 8) and torch.equal(starts, ends)
        seen.append(options.pop("enable_gqa", False))
        left, right = options.pop("window_size")
        assert right == 0
        a, b, c = (x.transpose(0, 1)[None] for x in (q, k, v))
        return segments.attend(a, b, c, tuple(starts.tolist()), options.pop("scale"), left + 1 or None)[0]

    takes = {"scale", "window_size"} | ({"enable_gqa"} if says_grouped else set())
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    monkeypatch.setattr(rows, "_arguments", lambda: frozenset(takes))
    starts = torch.tensor(bounds, dtype=torch.int32)
    found = rows._flash(query, key, value, starts, 30, 0.3, window)
    torch.testing.assert_close(found, segments.attend(query, key, value, bounds, 0.3, window))
    assert seen == [says_grouped]


@pytest.mark.parametrize("loss_of", [whole, chunked], ids=["whole", "chunked"])
@pytest.mark.parametrize("family", WITH_SDPA)
def test_losses_and_gradients_are_those_of_a_mask(family: str, loss_of: Any) -> None:
    loss, gradient = loss_and_gradient(family, "sdpa", "float32", loss_of)
    own_loss, own_gradient = loss_and_gradient(family, "varlen", "float32", loss_of)
    torch.testing.assert_close(own_loss, loss, rtol=1e-5, atol=1e-5)
    assert (own_gradient - gradient).norm() < 1e-4 * gradient.norm()


@pytest.mark.parametrize("family", WITH_SDPA)
def test_in_16_bits_it_is_no_farther_from_the_truth_than_a_mask_is(family: str) -> None:
    _, truth = loss_and_gradient(family, "sdpa", "float32", whole)
    errors = [(loss_and_gradient(family, x, "bfloat16", whole)[1] - truth).norm() for x in ("varlen", "sdpa")]
    assert errors[0] < 1.5 * errors[1] < 0.3 * truth.norm()


@pytest.mark.parametrize("family", WITH_SDPA)
def test_these_families_hand_on_bounds_and_windows(family: str) -> None:
    model = network(family, methods.implementation("varlen"))
    assert checks.takes_bounds(model, Execution(SETTINGS, "cpu"))


@pytest.mark.parametrize(("family", "dropped"), [("llama", "cu_seq_lens_q"), ("mistral", "sliding_window")])
def test_a_family_that_drops_the_bounds_or_a_window_is_noticed(
    family: str, dropped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AttentionInterface

    model, attend = network(family, methods.implementation("varlen")), rows.attend

    def deaf(*arguments: Any, **options: Any) -> Any:
        return attend(*arguments, **{name: x for name, x in options.items() if name != dropped})

    monkeypatch.setitem(AttentionInterface._global_mapping, rows.NAME, deaf)
    assert not checks.takes_bounds(model, Execution(SETTINGS, "cpu"))


def test_padding_belongs_to_the_last_row_and_changes_nothing() -> None:
    plan = replace(SETTINGS, attention="varlen")
    (batch,) = micro_batches(random_rows(3, longest=30), Execution(plan, "cpu", flat=True))
    assert batch.input_ids.shape == (1, LENGTHS) and batch.bounds[-1] == LENGTHS
    assert batch.tokens < LENGTHS and batch.longest == max(b - a for a, b in pairwise(batch.bounds))


def test_a_batch_without_bounds_is_sdpa_with_its_mask() -> None:
    plain, own = network("llama"), network("llama", methods.implementation("varlen"))
    (batch,) = micro_batches(random_rows(3, longest=30), Execution(SETTINGS, "cpu"))
    torch.testing.assert_close(whole(own)(batch), whole(plain)(batch))
    prompt = batch.input_ids[:, :9]
    answers = [model.eval().generate(prompt, max_new_tokens=4, do_sample=False) for model in (plain, own)]
    assert torch.equal(*answers)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("method", ALL)
def test_runs_are_the_same(method: Method, checkpointing: bool, tiny_model: Path, questions: Path) -> None:
    found = []
    for attention in ("sdpa", "varlen"):
        own: dict[str, Any] = {"attention": attention, "checkpointing": checkpointing, "max_steps": 4}
        folder = new_run(tiny_model, questions, method, eval_fraction=0.0, **own)
        assert train(folder) == "done", folder.log_file.read_text()
        found.append(list(losses(folder).values()))
        config = folder.path / "result" / "config.json"
        assert not config.exists() or rows.NAME not in config.read_text()
    assert found[1] == pytest.approx(found[0], abs=2e-3)
