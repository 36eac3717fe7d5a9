"""Splitting a step's rows into passes changes nothing: 1x8, 2x4 and 8x1, packed or not, for all methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from backend.answers import Method
from tests.backend.training.helpers import ALL, assert_same, gradients, loaded, one_step, plan, random_rows

ARRANGEMENTS: list[dict[str, Any]] = [
    {"packing": False, "micro_batch": 1},
    {"packing": False, "micro_batch": 2},
    {"packing": False, "micro_batch": 8},
    {"packing": True, "micro_batch": 1, "max_length": 64},
    {"packing": True, "micro_batch": 2, "max_length": 64},
    {"packing": True, "micro_batch": 1, "max_length": 512},
    {"packing": True, "micro_batch": 1, "max_length": 512, "chunked_loss": True},
    {"packing": True, "micro_batch": 1, "max_length": 512, "checkpointing": True},
    {"packing": True, "micro_batch": 1, "max_length": 512, "activation_offload": True},
]


@pytest.mark.parametrize("method", ALL)
def test_gradients_are_the_same_however_rows_are_arranged(method: Method, tiny_model: Path) -> None:
    rows = random_rows(8)
    found = [
        gradients(loaded(tiny_model, settings), rows, settings)
        for settings in (plan(method, **arrangement) for arrangement in ARRANGEMENTS)
    ]
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-5)
        assert_same(gradient, found[0][1], 2e-4)


@pytest.mark.parametrize("method", ALL)
def test_updates_are_the_same_however_rows_are_arranged(method: Method, tiny_model: Path) -> None:
    rows = random_rows(8)
    updated = []
    for arrangement in ARRANGEMENTS[:6]:
        settings = plan(method, **arrangement, learning_rate=1e-3)
        it = loaded(tiny_model, settings)
        before = {name: p.detach().clone() for name, p in it.trainable().items()}
        one_step(it, rows, settings)
        updated.append({name: p.detach() - before[name] for name, p in it.trainable().items()})
    # Adam's first update is nearly the gradient's sign: if a gradient is only rounding error, so is its update
    for update in updated[1:]:
        for name, value in update.items():
            assert value.abs().max() > 5e-4
            assert ((value - updated[0][name]).abs() > 1e-5).float().mean() < 0.01, name


def test_a_row_of_the_step_weighs_by_its_scored_tokens(tiny_model: Path) -> None:
    settings = plan("full", packing=False, micro_batch=1)
    it = loaded(tiny_model, settings)
    rows = random_rows(3)
    alone = [gradients(it, [row], settings) for row in rows]
    counts = [int(scored[1:].sum()) for _, scored in rows]
    loss, together = gradients(it, rows, settings)
    weighted = sum(count * value for count, (value, _) in zip(counts, alone, strict=True)) / sum(counts)
    assert loss == pytest.approx(weighted, rel=1e-5)
    name = "model.embed_tokens.weight"
    expected = sum(count * gradient[name] for count, (_, gradient) in zip(counts, alone, strict=True)) / sum(counts)
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(together[name], expected, rtol=1e-4, atol=1e-7)
