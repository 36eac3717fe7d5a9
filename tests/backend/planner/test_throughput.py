"""Time: FLOPs by hand, and published speeds within the interval."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.planner import throughput
from backend.planner.compare import compare
from backend.planner.plan import Plan
from tests.shapes import A100_80, LLAMA_8B, RTX_4090, gpu, model, rows


def test_flops_a_token() -> None:
    n = LLAMA_8B.matmul_parameters_per_token
    assert n == 7_504_658_432  # all weights but the input embedding and the norms
    attention = 2 * 4096 * 32
    full = throughput.flops_per_token(LLAMA_8B, Plan(method="full"), length=1)
    assert full == pytest.approx(6 * n + 3 * attention, rel=1e-9)
    assert throughput.flops_per_token(LLAMA_8B, Plan(method="full", checkpointing=True), 1) == pytest.approx(
        8 * n + 4 * attention, rel=1e-9
    )
    adapters = 6 * LLAMA_8B.lora_parameters(16)
    lora = throughput.flops_per_token(LLAMA_8B, Plan(method="lora"), 1)
    assert lora == pytest.approx(4 * n + 3 * attention + adapters, rel=1e-9)


@pytest.mark.parametrize(
    ("method", "device", "settings", "tokens_per_second"),
    [
        # torchtune README: Llama-3.1-8B on a 4090, batch 2 x 2,048 packed.
        ("lora", RTX_4090, ("checkpointing=true", "micro_batch=2"), 3083),
        ("qlora", RTX_4090, ("checkpointing=true", "micro_batch=2"), 2413),
        # NeMo AutoModel: Llama-3-8B LoRA, one H100, 2 x 4,096.
        ("lora", gpu("H100", 79, 989, 3350, (9, 0), None), ("checkpointing=false", "micro_batch=2"), 12473),
    ],
)
def test_published_speeds_lie_within_the_interval(
    method: str, device: object, settings: tuple[str, ...], tokens_per_second: float
) -> None:
    answers = Answers(max_length=2048, set=settings)
    seen = compare(answers, device, model(LLAMA_8B), rows(5000, 1024)).methods[method]  # type: ignore[arg-type,index]
    assert seen.tokens_per_second.low <= tokens_per_second <= seen.tokens_per_second.high * 1.15


def test_an_unknown_rate_foresees_no_time_and_no_cost() -> None:
    unknown = replace(A100_80, flops_per_second=0.0)
    comparison = compare(Answers(), unknown, model(LLAMA_8B), rows(5000))
    for seen in comparison.methods.values():
        assert seen.hours.point != seen.hours.point  # not a number
        assert seen.cost_usd is None
    assert any("speed" in note for note in comparison.notes)


def test_time_and_cost_move_with_epochs_and_price() -> None:
    base = compare(Answers(epochs=1, price_usd_per_hour=1.0), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]
    more = compare(Answers(epochs=3, price_usd_per_hour=2.0), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]
    assert base.hours.low < base.hours.point < base.hours.high
    assert 2 < more.hours.point / base.hours.point < 3.1
    assert base.cost_usd is not None and more.cost_usd is not None
    assert more.cost_usd.point == pytest.approx(more.hours.point * 2.0)
