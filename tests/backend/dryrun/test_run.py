"""The dry run against the formulas, and against runs at the depth that it extrapolates to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.dryrun import model as dry_model
from backend.dryrun import run
from backend.errors import UserError
from backend.model import find
from backend.plan.plan import Plan
from backend.planner import memory
from tests.bench.memory import compare, planned, with_new_tokens
from tests.shapes import LLAMA_8B, model


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("Llama-3.2-1B", planned("lora", micro_batch=4)),
        ("Qwen2.5-72B", planned("lora", checkpointing=True, chunked_loss=True, precision="float32")),
        ("Gemma-3-1b", planned("qlora", checkpointing=True)),
        ("Mistral-7B-v0.3", planned("qlora", packing=True)),
        ("Mistral-7B-v0.3", planned("qlora", packing=True, attention="varlen")),
        ("Llama-3.2-1B", planned("lora", packing=True, attention="varlen", micro_batch=4)),
        ("SmolLM2-135M", planned("full", micro_batch=4)),
        ("Llama-3.1-8B", planned("full", checkpointing=True, chunked_loss=True)),
        (
            "Qwen3-4B",
            planned("full", weights_dtype="bfloat16", optimizer_in_backward=True, checkpointing=True),
        ),
        ("Llama-3.2-1B", planned("lora", precision="float16", target_modules="q_proj,v_proj", dropout=0.1)),
        ("Llama-3.2-1B", planned("full", optimizer="adafactor")),
        ("Llama-3.2-1B", planned("lora", use_dora=True, micro_batch=2)),
        ("SmolLM2-135M", planned("qlora", use_dora=True, checkpointing=True, chunked_loss=True)),
        ("Llama-3.2-1B", planned("lora", modules_to_save="embed_tokens", chunked_loss=True)),
        ("Mistral-7B-v0.3", planned("qlora", modules_to_save="lm_head,norm", checkpointing=True)),
    ],
    ids=lambda value: value if isinstance(value, str) else value.method,
)
def test_the_closed_form_agrees_with_the_trainers_own_step(name: str, plan: Plan) -> None:
    row = compare(find.find(name), plan, 1024)
    assert row.error == pytest.approx(0, abs=0.03), (row.stage, row.dry_bytes, row.closed_bytes)


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("Llama-3.2-1B", planned("qlora", checkpointing=True, chunked_loss=True)),
        ("Mistral-7B-v0.3", planned("lora")),
    ],
    ids=["tied", "a head of its own"],
)
def test_rows_of_new_tokens_cost_what_the_trainers_step_costs(name: str, plan: Plan) -> None:
    row = compare(with_new_tokens(find.find(name)), plan, 1024)
    assert row.error == pytest.approx(0, abs=0.03), (row.stage, row.dry_bytes, row.closed_bytes)


@pytest.mark.parametrize("method", ["qlora", "full"])
def test_every_stage_is_a_line_in_the_blocks(method: str) -> None:
    known = find.find("SmolLM2-135M")
    settings, plan = dry_model.config(known), planned(method, checkpointing=True)  # type: ignore[arg-type]
    shallow = replace(known, shape=replace(known.shape, layers=8))
    drawn = run.measure(shallow, plan, 256, 128).by_stage
    for stage, parts in run._stages(dry_model.shortened(settings, 8), plan, "x", 256, 128).items():
        assert sum(drawn[stage].values()) == pytest.approx(sum(parts.values()), rel=1e-4), stage


def test_what_lies_there_all_the_time_is_counted_to_the_byte() -> None:
    known, plan = find.find("Qwen2.5-0.5B"), planned("lora", rank=8)
    found = run.measure(known, plan, 128, 64).by_stage["optimizer"]
    assert found["adapters"] == memory.adapters(known.shape, plan)
    assert found["gradients"] == memory.gradients(known.shape, plan)
    assert found["weights"] == pytest.approx(memory.weights(known.shape, plan), rel=1e-5)
    assert found["optimizer"] == pytest.approx(memory.optimizer_states(known.shape, plan), rel=1e-3)


def test_a_folder_with_a_config_is_enough(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    assert compare(find.find(str(tmp_path)), planned("full"), 256).error == pytest.approx(0, abs=0.05)


def test_a_mixture_of_experts_and_an_unknown_shape_are_refused() -> None:
    with pytest.raises(UserError, match="where tokens are routed"):
        run.measure(find.find("Mixtral-8x7B"), planned("lora"), 128, 64)
    with pytest.raises(UserError, match=r"config\.json of a-model, which is not on this box"):
        run.measure(model(LLAMA_8B), planned("lora"), 128, 64)
