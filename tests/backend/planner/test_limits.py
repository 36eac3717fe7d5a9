from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.answers import Answers
from backend.errors import UserError
from backend.model import find
from backend.planner import devices, limits, situation
from tests.tiny import make_model

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


def test_a_head_with_rows_for_new_tokens_carries_no_adapter() -> None:
    grown = replace(LLAMA, added_tokens=("<new>",))
    limits.refuse(grown, devices.named("4090"), {"target_modules": "q_proj"})
    with pytest.raises(UserError, match="lm_head can't carry an adapter while rows for new tokens train in it"):
        limits.refuse(grown, devices.named("4090"), {"target_modules": "q_proj, lm_head"})


def test_a_family_that_needs_a_package_that_is_not_here() -> None:
    needy = replace(LLAMA, packages={"json": "json", "no_such_module": "no-such-module"})
    limits.refuse(needy, devices.named("4090"), {})  # another box may have it
    with pytest.raises(UserError, match=r"can't be loaded without no-such-module, not installed here; .*pip install"):
        limits.refuse(needy, replace(devices.named("4090"), here=True), {})


def test_a_model_without_tokenizer_json_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "slow")
    limits.refuse(find.find(str(folder)), devices.named("4090"), {})
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer\.json.*AutoTokenizer") as error:
        limits.refuse(find.find(str(folder)), devices.named("4090"), {})
    assert error.value.field == "model"


def test_a_family_that_overflows_in_float16_is_planned_in_float32_on_a_gpu_without_bfloat16() -> None:
    answers = Answers(model="gemma-3-1b", rows=100, row_tokens=100, gpu="T4")
    plan = situation.predict(answers).methods["lora"].plan
    assert plan.precision == "float32"
    assert situation.predict(replace(answers, gpu="4090")).methods["lora"].plan.precision == "bfloat16"
    assert situation.predict(replace(answers, model="qwen2.5-0.5b")).methods["lora"].plan.precision == "float16"
    with pytest.raises(UserError, match="overflows in the family gemma3_text"):
        situation.predict(replace(answers, set=("precision=float16",)))


def test_a_family_whose_step_fails_is_refused() -> None:
    model = replace(LLAMA, shape=replace(LLAMA.shape, family="deepseek_v4"))
    with pytest.raises(
        UserError, match="can't be fine-tuned here: the training step of its family deepseek_v4"
    ) as error:
        limits.refuse(model, devices.named("4090"), {})
    assert error.value.field == "model"


def test_a_family_that_has_no_four_bits_is_never_planned_with_qlora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rwkv = replace(LLAMA, shape=replace(LLAMA.shape, family="rwkv"))
    monkeypatch.setattr(find, "find", lambda reference: rwkv)
    answers = Answers(model="rwkv", rows=1000, row_tokens=300, gpu="4090")

    seen = situation.predict(answers)

    assert seen.recommended != "qlora"
    assert "can't be quantised to 4 bits" in seen.methods["qlora"].obstacles[0]
    with pytest.raises(UserError, match=r"method: the layers of the family rwkv .*; set lora or full"):
        situation.predict(replace(answers, set=("method=qlora",)))


def test_varlen_needs_a_torch_whose_kernel_takes_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, source = replace(devices.named("4090"), here=True), tmp_path / "nn" / "attention" / "varlen.py"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    assert "came with 2.11" in str(limits.no_varlen(LLAMA, here, "bfloat16"))
    source.parent.mkdir(parents=True)
    source.write_text("def varlen_attn(query, key, value, is_causal=False): ...")
    assert "came with 2.11" in str(limits.no_varlen(LLAMA, here, "bfloat16"))
    source.write_text("def varlen_attn(query, key, value, window_size: tuple[int, int] = (-1, -1)): ...")
    assert limits.no_varlen(LLAMA, here, "bfloat16") is None


def test_flash_attention_is_refused_where_its_kernels_do_not_run() -> None:
    wanted = {"attention": "flash_attention_2"}
    with pytest.raises(UserError, match="flash_attention_2 can't be taken here: T4 is no NVIDIA GPU of the Ampere"):
        limits.refuse(LLAMA, devices.named("T4"), wanted)
    with pytest.raises(UserError, match="flash_attention_2 can't be taken here: its kernels compute in 16 bits only"):
        limits.refuse(LLAMA, devices.named("4090"), wanted | {"precision": "float32"})
