"""Situations as users have them, each with the recommendation and the words that decided it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.data.report import DataReport
from backend.model.shape import ModelShape
from backend.planner.compare import compare
from backend.planner.device import Device
from tests.shapes import A100_80, CPU, GIB, H100, LLAMA_1B, LLAMA_8B, RTX_4090, T4, model, rows
from tests.situations import B05, DEEP, MOE_30B, SITUATIONS, Situation


@pytest.mark.parametrize("situation", SITUATIONS, ids=[x.name for x in SITUATIONS])
def test_the_recommendation_and_what_decided_it(situation: Situation) -> None:
    comparison = compare(situation.answers, situation.device, model(situation.shape), situation.data)
    assert comparison.recommended == situation.method
    assert situation.words in comparison.reasons[0]


def test_the_recommended_method_fits_and_the_others_say_why_not() -> None:
    for x in SITUATIONS:
        comparison = compare(x.answers, x.device, model(x.shape), x.data)
        for name, seen in comparison.methods.items():
            if name == x.method:
                assert seen.fit != "no"
                assert not seen.why_not
                assert not seen.obstacles
            elif x.method is not None:
                assert seen.why_not, (x.name, name)
            if seen.fit == "no":
                assert any("needs" in sentence for sentence in seen.obstacles)


def test_every_answer_moves_the_figures() -> None:
    base = compare(Answers(), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]

    def changed(answers: Answers, data: DataReport | None = None, device: Device = A100_80) -> tuple[object, ...]:
        seen = compare(answers, device, model(LLAMA_8B), data or rows(5000)).methods["lora"]
        return (seen.memory.peak_bytes, seen.hours.point, seen.cost_usd, seen.checkpoint_bytes)

    before = (base.memory.peak_bytes, base.hours.point, base.cost_usd, base.checkpoint_bytes)
    for after in (
        changed(Answers(epochs=1)),
        changed(Answers(max_length=256)),
        changed(Answers(effective_batch=64)),
        changed(Answers(set=("rank=64",))),
        changed(Answers(price_usd_per_hour=9.0)),
        changed(Answers(), rows(9000)),
        changed(Answers(), device=H100),
    ):
        assert after != before


def test_few_rows_and_an_unknown_price_are_said() -> None:
    notes = compare(Answers(), replace(A100_80, price=None), model(LLAMA_8B), rows(30)).notes
    assert any("Under 50 rows" in note for note in notes)
    assert any("No dated price" in note and "--price or at the goal step" in note for note in notes)


def said(answers: Answers, device: Device, shape: ModelShape, data: DataReport) -> tuple[str, str]:
    """The reasons, and everything that is said against the other methods, as text."""
    comparison = compare(answers, device, model(shape), data)
    return " ".join(comparison.reasons), " ".join(x for seen in comparison.methods.values() for x in seen.why_not)


@pytest.mark.parametrize(
    ("device", "shape", "is_slower"),
    [(A100_80, LLAMA_8B, True), (CPU, LLAMA_1B, True), (replace(CPU, flops_per_second=0.0), LLAMA_1B, False)],
    ids=["gpu", "cpu", "unknown speed"],
)
def test_a_slower_step_is_said_where_the_figures_say_so(device: Device, shape: ModelShape, is_slower: bool) -> None:
    methods = compare(Answers(set=("method=lora",)), device, model(shape), rows(500)).methods
    lora, qlora = (methods[name].tokens_per_second.point for name in ("lora", "qlora"))
    assert (qlora < lora) == is_slower
    assert ("a slower step" in " ".join(methods["qlora"].why_not)) == is_slower


def test_it_is_said_where_the_methods_train_different_amounts() -> None:
    def said(answers: Answers) -> str:
        return " ".join(compare(answers, A100_80, model(LLAMA_8B), rows(5000)).notes)

    assert "LoRA and QLoRA 3 epochs, 900 steps of 16 rows; Full 2 epochs, 300 steps of 32 rows." in said(Answers())
    assert "different amounts" not in said(Answers(epochs=1, effective_batch=16))
    assert "different amounts" not in said(Answers(effective_batch=16, set=("max_steps=40",)))


def test_if_evidence_and_guidance_differ_both_are_shown() -> None:
    why, against = said(DEEP, A100_80, LLAMA_8B, rows(5000))
    assert "on 20,000 rows LoRA scored 0.478 and full 0.472" in why  # full, as in the guidance
    assert "full kept 0.45 of general ability against LoRA's 0.63" in why
    assert "Its 41.9 M parameters are enough for your 1.0 M target tokens: cheaper to try first" in against
    why, _ = said(Answers(), RTX_4090, LLAMA_8B, rows(5000))
    assert "LoRA would leave 28% of the memory free: by the evidence enough to prefer it" in why
    _, against = said(Answers(), RTX_4090, B05, rows(50_000))
    assert "At 494.0 M parameters it costs little: by the evidence it is worth a try." in against


def test_data_that_no_adapter_holds_says_so() -> None:
    why, against = said(DEEP, A100_80, B05, rows(2_000_000, 1000))
    assert "1.00 B target tokens are more than an adapter of rank 256 (140.8 M parameters) can hold" in why
    assert "are fewer than your 1.00 B target tokens: it would learn less of each." in against


def test_four_bit_weights_of_a_small_model_are_warned_of() -> None:
    small = replace(A100_80, memory_bytes=4 * GIB, free_bytes=4 * GIB)
    why, _ = said(Answers(), small, LLAMA_1B, rows(5000))
    assert "4-bit weights cost up to 2 points" in why


def test_a_mixture_of_experts_says_what_qlora_does_not_quantise() -> None:
    words = "Its experts are fused and stay in 16 bit: QLoRA quantises only 906.0 M of 30.53 B parameters."
    why, against = said(Answers(), A100_80, MOE_30B, rows(5000))
    assert "its experts are fused" in why and words in against
    why, _ = said(Answers(set=("method=qlora",)), A100_80, MOE_30B, rows(5000))
    assert words in why


def test_a_family_without_sdpa_has_a_note() -> None:
    soft_capped = replace(LLAMA_8B, family="gemma2", attention=("eager", "flash_attention_2"))
    notes = " ".join(compare(Answers(), A100_80, model(soft_capped), rows(5000)).notes)
    assert "transformers has no sdpa attention for gemma2: eager attention is planned" in notes
    flash = Answers(set=("attention=flash_attention_2",))
    assert "no sdpa" not in " ".join(compare(flash, A100_80, model(soft_capped), rows(5000)).notes)


def test_the_guidances_range_is_shown_beside_ours_if_they_differ() -> None:
    def notes(device: Device, data: DataReport, answers: Answers = Answers()) -> str:  # noqa: B008
        return " ".join(compare(answers, device, model(), data).notes)

    assert "The guidance has LoRA of an 8B at USD 15-40 on one A100; for your 6.0 M tokens" in notes(
        A100_80, rows(5000)
    )
    assert "The guidance" not in notes(A100_80, rows(200_000, 800))  # within its range
    assert "The guidance" not in notes(RTX_4090, rows(5000))  # not its card
    four = replace(A100_80, count=4)
    assert "Full of an 8B at USD 150-500 on 4 A100 or 2 H100" in notes(four, rows(5000), DEEP)


def test_high_stakes_take_16_bit_weights_if_they_fit() -> None:
    why, _ = said(Answers(stakes="high"), RTX_4090, LLAMA_8B, rows(5000))
    assert "merges into them exactly" in why
    assert "Compare its general ability before and after training; an adapter can be taken off again." in why
    assert compare(Answers(stakes="high"), T4, model(LLAMA_8B), rows(5000)).recommended == "qlora"


def test_a_card_that_no_published_run_covers_is_said_to_be_so() -> None:
    said = "No published run covers a B200 SXM: its time is taken from other cards, in a wide interval."
    new = replace(A100_80, name="B200 SXM", compute_capability=(10, 0))
    for device, uncovered in ((new, True), (A100_80, False), (replace(A100_80, name="RTX 5090"), False)):
        notes = compare(Answers(), device, model(), rows(5000)).notes
        assert (said in notes) is uncovered
