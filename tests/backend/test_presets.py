"""Presets: shipped ones load and plan, own ones come back as saved, broken ones harm nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend import paths, presets
from backend.answers import Answers
from backend.errors import UserError
from backend.planner.compare import compare
from tests.shapes import A100_80, LLAMA_8B, RTX_4090, model, rows


def test_every_shipped_preset_loads_and_plans() -> None:
    shipped = [preset for preset in presets.listing() if isinstance(preset, presets.Preset)]
    assert {"demo", "solo-qlora", "many-variants-lora", "high-stakes-full"} <= {preset.name for preset in shipped}
    for preset in shipped:
        answers = presets.merged(preset, Answers())
        comparison = compare(answers, A100_80, model(), rows(5000), preset.plan, preset.name)
        assert preset.description
        for key, value in preset.plan.items():
            method = preset.plan.get("method", "lora")
            assert getattr(comparison.methods[method].plan, key) == value


def test_a_saved_preset_comes_back_and_leaves_the_box_open() -> None:
    answers = Answers(model="8b", data="rows.jsonl", budget_usd=40, variants=3, set=("rank=64",), mapping=("prompt=q",))
    seen = compare(answers, RTX_4090, model(), rows(5000)).methods["qlora"]
    path = presets.save("mine", "a try", answers, seen)
    loaded = presets.load("mine")
    assert path == loaded.path
    assert loaded.plan["rank"] == 64
    assert loaded.plan["method"] == "qlora"
    assert "micro_batch" not in loaded.plan
    assert presets.merged(loaded, Answers()).budget_usd == 40
    assert presets.merged(loaded, Answers(budget_usd=7)).budget_usd == 7
    assert presets.merged(loaded, Answers()).mapping == ("prompt=q",)


def test_a_shipped_preset_is_not_overwritten() -> None:
    seen = compare(Answers(), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]
    for name in ("demo", "../evil", "", ".hidden"):
        with pytest.raises(UserError, match="preset"):
            presets.save(name, "", Answers(), seen)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rank = ", "line 1"),
        ("rnak = 3", "did you mean 'rank'"),
        ('rank = "many"', "whole number"),
        ("[job]\nmodle = 'demo'", "did you mean 'model'"),
        ("[job]\nvariants = 'two'", "variants"),
    ],
)
def test_a_broken_preset_is_listed_with_its_reason(text: str, reason: str) -> None:
    (paths.own_presets() / "broken.toml").write_text(text)
    found = {preset.name: preset for preset in presets.listing()}
    broken = found["broken"]
    assert isinstance(broken, presets.Broken)
    assert reason in broken.reason
    assert isinstance(found["demo"], presets.Preset)
    with pytest.raises(UserError):
        presets.load("broken")


def test_an_unknown_preset_names_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'demo'"):
        presets.load("dmo")
    own = tmp_path / "any.toml"
    own.write_text("rank = 4\n")
    assert presets.load(str(own)).plan == {"rank": 4}
