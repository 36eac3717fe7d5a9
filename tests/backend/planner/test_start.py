"""Starting from an adapter or with new tokens: what the plan says, keeps and refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.answers import Answers, Method
from backend.errors import UserError
from backend.plan.job import Job
from backend.plan.preset import Preset
from backend.planner import jobs, situation
from backend.planner.estimates import Comparison
from backend.run.folder import RunFolder
from tests.backend.adapter_files import make_adapter
from tests.backend.training.helpers import plan


def planned(model: Path, *settings: str, **answers: object) -> Comparison:
    given = Answers(model=str(model), rows=200, row_tokens=60, gpu="4090", set=settings)
    return situation.predict(replace(given, **answers))  # type: ignore[arg-type]


@pytest.fixture
def adapter(tmp_path: Path, tiny_model: Path) -> Path:
    return make_adapter(tmp_path / "adapter", base=str(tiny_model), rank=6)


def test_adapter_methods_go_on_with_its_settings_and_full_merges_it(tiny_model: Path, adapter: Path) -> None:
    found = planned(tiny_model, adapter=str(adapter))
    for method in ("lora", "qlora"):
        seen = found.methods[method]
        assert (seen.plan.rank, seen.plan.alpha, seen.plan.target_modules) == (6, 8.0, "q_proj,v_proj")
        assert seen.origin["rank"] == "the adapter"
        assert seen.trainable_parameters == 2 * 6 * (64 + 64 + 64 + 32)
    merged = {method: jobs.job(found, method).adapter_is_merged for method in found.methods}
    assert merged == {"lora": False, "qlora": False, "full": True}
    notes = "\n".join(found.notes)
    assert f"LoRA and QLoRA train the adapter {adapter} further: rank 6, alpha 8." in notes
    assert "Full begins with the adapter merged into the model" in notes
    assert found.methods["full"].host.disk_by_part["base"] > 0
    assert "base" not in found.methods["lora"].host.disk_by_part


def test_another_rank_merges_it_first(tiny_model: Path, adapter: Path) -> None:
    found = planned(tiny_model, "rank=8", "alpha=99", adapter=str(adapter))
    assert found.methods["lora"].plan.rank == 8 and found.methods["lora"].plan.alpha == 99
    assert jobs.job(found, "lora").adapter_is_merged
    assert "LoRA begins with the adapter merged into the model: rank 8 was asked for, and it has 6." in found.notes


def test_a_presets_settings_give_way_to_the_adapters(tiny_model: Path, adapter: Path) -> None:
    given = Answers(model=str(tiny_model), rows=200, row_tokens=60, gpu="4090", adapter=str(adapter))
    preset = Preset("p", "", {"rank": 32, "alpha": 64.0, "target_modules": "all-linear"}, {}, Path("p.toml"), False)
    seen = situation.predict(given, preset).methods["lora"]
    assert (seen.plan.rank, seen.plan.alpha, seen.plan.target_modules) == (6, 8.0, "q_proj,v_proj")


def test_preferences_are_compared_with_the_model_that_holds_the_adapter(tiny_model: Path, adapter: Path) -> None:
    found = planned(tiny_model, "objective=dpo", adapter=str(adapter))
    assert jobs.job(found, "lora").adapter_is_merged
    assert any("dpo compares with the model before training" in note for note in found.notes)


@pytest.mark.parametrize("setting", ["alpha=16", "target_modules=q_proj", "use_dora=true", "modules_to_save=norm"])
def test_a_setting_that_it_does_not_have_is_refused(setting: str, tiny_model: Path, adapter: Path) -> None:
    key = setting.partition("=")[0]
    with pytest.raises(UserError, match=f"^{key}: .* but the adapter that is trained further has") as refusal:
        planned(tiny_model, setting, adapter=str(adapter))
    assert refusal.value.field == key


def test_the_same_setting_is_none(tiny_model: Path, adapter: Path) -> None:
    found = planned(tiny_model, "rank=6", "target_modules=v_proj,q_proj", adapter=str(adapter))
    assert not jobs.job(found, "lora").adapter_is_merged


def test_one_on_some_layers_is_merged_first(tiny_model: Path, tmp_path: Path) -> None:
    few = make_adapter(tmp_path / "few", layers=1)
    found = planned(tiny_model, adapter=str(few))
    assert jobs.job(found, "qlora").adapter_is_merged
    said = "QLoRA begins with the adapter merged into the model: it is on a part of the layers that no plan can name."
    assert said in found.notes


def run_with(model: Path, method: Method) -> RunFolder:
    return RunFolder.create(Job(str(model), str(model), "x", plan(method), device="cpu", device_name="CPU"))


def test_a_run_stands_for_its_result(tiny_model: Path) -> None:
    run = run_with(tiny_model, "lora")
    with pytest.raises(UserError, match=f"adapter: run {run.name} has no result yet"):
        planned(tiny_model, adapter=run.name)
    make_adapter(run.result, base=str(tiny_model), rank=3)
    assert planned(tiny_model, adapter=run.name).methods["lora"].plan.rank == 3
    assert planned(tiny_model, adapter=str(run.path)).methods["lora"].plan.rank == 3
    assert jobs.job(planned(tiny_model, adapter=run.name), "lora").adapter == str(run.result)


def test_a_run_that_made_a_whole_model_is_none(tiny_model: Path) -> None:
    run = run_with(tiny_model, "full")
    run.result.mkdir()
    (run.result / "config.json").write_text("{}")
    with pytest.raises(UserError, match=f"made a whole model; give it with --model {run.result}"):
        planned(tiny_model, adapter=run.name)


def test_no_such_adapter(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="adapter: no run is called 'gone'") as refusal:
        planned(tiny_model, adapter="gone")
    assert refusal.value.field == "adapter"


def test_new_tokens_train_their_rows_and_make_the_model_larger(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("<a>\n<b>\n<c>\n")
    plain = planned(tiny_model)
    found = planned(tiny_model, add_tokens=str(tmp_path / "new.txt"))
    more = found.methods["lora"].trainable_parameters - plain.methods["lora"].trainable_parameters
    assert more == 3 * 64  # tied: the rows are the head's too
    assert (
        found.methods["full"].trainable_parameters - plain.methods["full"].trainable_parameters
        == (found.model.shape.vocab - 384) * 64
    )
    assert jobs.job(found, "lora").added_tokens == ("<a>", "<b>", "<c>")
    assert "3 tokens are added" in "\n".join(found.notes)
    whole = planned(tiny_model, "modules_to_save=embed_tokens", add_tokens=str(tmp_path / "new.txt"))
    assert whole.methods["lora"].trainable_parameters == (
        plain.methods["lora"].trainable_parameters + found.model.shape.vocab * 64
    )


@pytest.mark.parametrize("setting", ["use_dora=true", "use_rslora=true", "modules_to_save=embed_tokens"])
def test_what_only_adapters_have_is_refused_for_full(setting: str, tiny_model: Path) -> None:
    key = setting.partition("=")[0]
    with pytest.raises(UserError, match=f"^{key}: .* is for LoRA and QLoRA"):
        planned(tiny_model, setting, "method=full")
    compared = planned(tiny_model, setting)
    assert getattr(compared.methods["lora"].plan, key)
    assert not getattr(compared.methods["full"].plan, key)
