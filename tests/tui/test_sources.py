"""What the wizard is made of: each step has its screen, and a preset's plan fields reach the planner."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.answers import Answers
from backend.plan.preset import Preset
from tests.tui import box
from tui.app import ORDER, make_step
from tui.sources import Sources

PRESET = Preset("mine", "", {"method": "full", "rank": 64}, {}, Path("mine.toml"), False)


def test_each_step_has_its_screen() -> None:
    assert [getattr(make_step(step), "STEP", None) for step in ORDER] == list(ORDER)
    with pytest.raises(ValueError, match="no step 'payment'"):
        make_step("payment")


def test_a_presets_plan_fields_reach_the_planner() -> None:
    sources = box.sources()
    device, model = sources.here(box.hardware()), box.model()
    answers = Answers(model=model.reference, data="support.jsonl")
    lora = sources.compare(answers, device, model, box.report(), PRESET).methods["lora"]
    assert (lora.plan.rank, lora.origin["rank"]) == (64, "preset mine")
    assert sources.compare(answers, device, model, box.report(), None).methods["lora"].plan.rank != 64


@pytest.mark.parametrize(
    ("settings", "start", "method"), [((), None, None), ((), PRESET, "full"), (("method=lora",), PRESET, "lora")]
)
def test_the_method_set_by_preset_or_user(settings: tuple[str, ...], start: Preset | None, method: str | None) -> None:
    assert box.sources().method_set(Answers(set=settings), start) == method


def test_new_tokens_that_the_wizard_was_started_with_count_in_the_data(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("apples\n")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"prompt": "apples {n}", "completion": "apples apples"}}\n' for n in range(20)))
    sources = Sources()
    model = sources.find_model(str(tiny_model))
    started = sources.started(Answers(add_tokens=str(tmp_path / "tokens.txt")), model)
    before, after = (sources.inspect_data(str(rows), (), one) for one in (model, started))
    assert started is not None and started.added_tokens == ("apples",)
    assert after.tokens == before.tokens - 20 * 3  # two pieces are then one token
    assert sources.started(Answers(), None) is None
