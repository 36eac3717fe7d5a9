"""Presets: shipped ones load and plan, own ones come back as saved, broken ones harm nobody."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from backend import paths, presets
from backend.answers import Answers
from backend.errors import UserError
from backend.plan.preset import Preset
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.planner.estimates import Comparison, MethodEstimate
from backend.preset_text import PresetError
from tests.shapes import A100_80, LLAMA_8B, RTX_4090, model, rows


def test_every_shipped_preset_loads_and_plans() -> None:
    shipped = [preset for preset in presets.listing() if isinstance(preset, Preset)]
    assert {"demo", "solo-qlora", "many-variants-lora", "high-stakes-full"} <= {preset.name for preset in shipped}
    for preset in shipped:
        answers = presets.merged(preset, Answers())
        comparison = compare(answers, A100_80, model(), rows(5000), preset)
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


def test_sizes_take_the_place_of_a_presets_data_and_data_that_of_its_sizes() -> None:
    demo = presets.load("demo")
    sized = presets.merged(demo, Answers(rows=9, row_tokens=40))
    assert (sized.data, sized.rows, sized.row_tokens) == ("", 9, 40)
    there = presets.merged(dataclasses.replace(demo, job={"rows": 9, "row_tokens": 40}), Answers(data="mine.jsonl"))
    assert (there.data, there.rows, there.row_tokens) == ("mine.jsonl", None, None)


def test_a_shipped_preset_is_not_overwritten() -> None:
    seen = compare(Answers(), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]
    for name in ("demo", "../evil", "", ".hidden"):
        with pytest.raises(UserError, match="preset"):
            presets.save(name, "", Answers(), seen)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rank = ", "preset broken, line 1: rank has no value"),
        ("rank =  # what?", "line 1: rank has no value"),
        ("method = lora", 'text must be in quotes: method = "lora"'),
        ("rank 16", "rank 16 is no TOML; it takes lines such as rank = 16"),
        ("rnak = 3", "did you mean 'rank'"),
        ('rank = "many"', "whole number"),
        ("[job]\nmodle = 'demo'", "did you mean 'model'"),
        ("[job]\nvariants = 'two'", "[job] variants: 'two' won't do; it takes a whole number"),
    ],
)
def test_a_broken_preset_is_listed_with_its_reason(text: str, reason: str) -> None:
    (paths.own_presets() / "broken.toml").write_text(text)
    found = {preset.name: preset for preset in presets.listing()}
    broken = found["broken"]
    assert list(found) == [*(name for name in found if name != "broken"), "broken"]
    assert isinstance(broken, presets.Broken)
    assert reason in broken.reason
    assert broken.line == (2 if "[job]" in text else 1)
    assert "line" in broken.reason
    assert isinstance(found["demo"], Preset)
    with pytest.raises(UserError):
        presets.load("broken")


def test_an_unknown_preset_names_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'demo'"):
        presets.load("dmo")
    own = tmp_path / "any.toml"
    own.write_text("rank = 4\n")
    assert presets.load(str(own)).plan == {"rank": 4}


def seen_on(device: Device, **answers: Any) -> tuple[Comparison, MethodEstimate]:
    comparison = compare(Answers(**answers), device, model(), rows(5000))
    return comparison, comparison.methods["qlora"]


def test_saving_again_keeps_the_comments_of_the_file() -> None:
    _, estimate = seen_on(RTX_4090, set=("rank=64",))
    path = presets.save("mine", "a try", Answers(model="8b"), estimate, "RTX 4090")
    text = path.read_text().replace("rank = 64", "rank = 64  # as in the paper").replace("[job]", "# whose\n[job]")
    path.write_text("# my own words\n" + text)
    _, estimate = seen_on(RTX_4090, set=("rank=32",))
    presets.save("mine", "a try", Answers(model="13b", budget_usd=3.0), estimate, "RTX 4090")
    saved = path.read_text()
    for comment in ("# my own words", "# as in the paper", "# whose"):
        assert comment in saved
    assert presets.load("mine").plan["rank"] == 32
    assert presets.load("mine").job == {
        "model": "13b",
        "budget_usd": 3.0,
        "shift": "format",
        "stakes": "normal",
        "variants": 1,
    }


def test_a_preset_of_another_box_says_what_is_planned_otherwise() -> None:
    _, there = seen_on(A100_80)
    presets.save("mine", "", Answers(), there, A100_80.label)
    preset = presets.load("mine")
    here = compare(Answers(), RTX_4090, model(), rows(5000), preset)
    said = presets.changes(preset, here, here.methods["qlora"])
    assert f"made for {A100_80.label} and is planned anew for {RTX_4090.label}" in said
    assert f"micro_batch {here.methods['qlora'].plan.micro_batch} instead of {there.plan.micro_batch}" in said
    again = compare(Answers(), A100_80, model(), rows(5000), preset)
    assert presets.changes(preset, again, again.methods["qlora"]) == ""
    assert presets.changes(presets.load("demo"), here, here.methods["qlora"]) == ""


def test_a_shipped_preset_can_be_copied_with_its_comments_and_deleted_only_as_a_copy() -> None:
    path = presets.copy("solo-qlora", "mine")
    assert path.read_text() == presets.load("solo-qlora").path.read_text()
    assert not presets.load("mine").shipped
    with pytest.raises(UserError, match="already"):
        presets.copy("demo", "mine")
    presets.delete("mine")
    assert "mine" not in presets.names()
    for name, sentence in (("demo", "shipped"), ("mine", "no preset"), ("../x", "won't do")):
        with pytest.raises(UserError, match=sentence):
            presets.delete(name)


def test_only_a_valid_text_is_written() -> None:
    path = presets.write("mine", "# mine\nrank = 8\n")
    with pytest.raises(PresetError, match="line 2") as refused:
        presets.write("mine", "# mine\nrank = -8\n")
    assert refused.value.line == 2
    assert path.read_text() == "# mine\nrank = 8\n"


@pytest.mark.parametrize("text", ["job = 3", "made_for = 1", "[made_for]\nmicro_batch = 'x'", "[[job]]\nmodel = 'x'"])
def test_what_is_not_a_table_is_refused(text: str) -> None:
    with pytest.raises(PresetError):
        presets.write("mine", text)


def test_a_command_names_a_preset_by_its_file_where_that_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text(presets.load("demo").path.read_text())
    elsewhere = presets.load(str(tmp_path / "demo.toml"))
    assert elsewhere.name == "demo" and elsewhere.reference == str(tmp_path / "demo.toml")
    assert presets.load("demo").reference == "demo"
    assert presets.load(elsewhere.reference) == elsewhere


def test_clipping_that_was_given_up_for_memory_is_left_open() -> None:
    """If it were kept, it would forbid stepping in the backward pass on the very box that it was saved on."""
    answers = Answers(set=("method=full",))
    before = compare(answers, A100_80, model(LLAMA_8B), rows(5000)).methods["full"]
    assert before.plan.optimizer_in_backward and before.plan.max_grad_norm == 0
    presets.save("mine", "", answers, before)
    again = compare(Answers(), A100_80, model(LLAMA_8B), rows(5000), presets.load("mine")).methods["full"]
    assert (again.plan, again.fit) == (before.plan, "fits")
    own = compare(Answers(set=("method=full", "max_grad_norm=0")), A100_80, model(LLAMA_8B), rows(5000))
    presets.save("mine", "", answers, own.methods["full"])
    assert presets.load("mine").plan["max_grad_norm"] == 0
