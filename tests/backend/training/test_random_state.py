"""The random state is kept for recomputed blocks only if something in them is random."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from backend.training import methods
from backend.training.parallel.execution import Execution
from tests.backend.training.helpers import plan


class Network:
    """The parts of a model that `set_checkpointing` uses."""

    def __init__(self, **settings: Any) -> None:
        self.config = SimpleNamespace(**settings)
        self.asked: dict[str, Any] = {}

    def activation_checkpointing_enable(
        self, *, activation_checkpointing_kwargs: dict[str, Any], offload: bool
    ) -> None:
        self.asked = activation_checkpointing_kwargs


@pytest.mark.parametrize(
    ("settings", "changes", "kept"),
    [
        ({"attention_dropout": 0.0, "hidden_size": 64}, {}, False),
        ({"attention_dropout": 0.0}, {"dropout": 0.1}, True),
        ({"resid_pdrop": 0.1}, {}, True),
        ({"router_jitter_noise": 0.01}, {}, True),
        ({"text_config": SimpleNamespace(attention_dropout=0.1)}, {}, True),
        ({"text_config": SimpleNamespace(attention_dropout=0.0)}, {}, False),
    ],
)
def test_random_state_is_kept_for_dropout_only(settings: dict[str, Any], changes: dict[str, Any], kept: bool) -> None:
    network: Any = Network(**settings)
    methods.set_checkpointing(network, Execution(plan("lora", checkpointing=True, **changes), "cpu"))
    assert network.asked == {"use_reentrant": False, "preserve_rng_state": kept}
