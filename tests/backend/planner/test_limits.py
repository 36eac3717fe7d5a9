from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest

from backend.errors import UserError
from backend.model import find
from backend.planner import devices, limits

LLAMA = find.find("8b")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"target_modules": "foo"}, "target_modules: 'foo' is no linear layer"),
        ({"max_length": LLAMA.shape.context + 1}, "is beyond the context of"),
        ({"rank": LLAMA.shape.hidden + 1}, "is more than the width of"),
    ],
    ids=["targets", "length", "rank"],
)
def test_what_the_model_can_not_follow_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        limits.refuse(LLAMA, devices.named("4090"), settings)
    assert error.value.field in settings


def test_an_attention_kernel_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    wanted = {"attention": "flash_attention_2"}
    limits.refuse(LLAMA, devices.named("4090"), wanted)  # a GPU elsewhere may have it
    with pytest.raises(UserError, match="needs the package flash-attn"):
        limits.refuse(LLAMA, replace(devices.named("4090"), here=True), wanted)
