"""Merged models: plain transformers loads them, and they answer as base and adapter together."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.errors import UserError
from backend.export import check
from backend.export.export import export
from backend.hardware import host
from backend.hardware.types import Ram
from backend.run.folder import RunFolder
from backend.training.merging import merge, stream, whole
from backend.training.merging.updates import LowRank
from tests.backend.adapter_files import make_adapter
from tests.backend.export.helpers import ended, found, silent, without_result
from tests.tiny import make_model

DiskUsage = namedtuple("DiskUsage", "total used free")
IDS = torch.arange(3, 43).reshape(2, 20)


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        answer = model.eval()(input_ids=IDS).logits
    assert isinstance(answer, Tensor)
    return answer.float()


def apart(base: Path, folder: RunFolder) -> Tensor:
    return logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), folder.result))


def merged(folder: RunFolder, name: str | None = None, **options: Any) -> Path:
    out = folder.path / name if name else None
    return export(found(folder), "merged", out, silent, **options).folder


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("tied", [True, False])
def test_it_answers_as_base_and_adapter(method: Any, tied: bool, tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", tie_word_embeddings=tied)
    folder = ended(base, method=method)
    target = merged(folder)
    assert target == folder.path / "export" / "merged"
    model = AutoModelForCausalLM.from_pretrained(target)
    torch.testing.assert_close(logits(model), apart(base, folder))
    assert not torch.allclose(logits(model), logits(AutoModelForCausalLM.from_pretrained(base)), atol=1e-3)
    assert model.config.tie_word_embeddings == tied
    assert not list(target.glob("adapter*"))
    assert not list(target.parent.glob(".writing*"))


def test_each_shard_is_merged_and_rounded_once_to_the_bases_type(tmp_path: Path, tiny_model: Path) -> None:
    base = tmp_path / "shards"
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(base, max_shard_size="100KB")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(base)
    assert len(list(base.glob("model-*.safetensors"))) > 1
    folder = ended(base, precision="bfloat16")
    model = AutoModelForCausalLM.from_pretrained(target := merged(folder), dtype="auto")
    assert json.loads((target / "config.json").read_text())["rope_theta"] == 10000.0, "as older readers know it"
    layer = model.model.layers[1].mlp.down_proj.weight
    exact = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder.result)
    assert model.dtype == torch.bfloat16
    wanted = exact.merge_and_unload().model.layers[1].mlp.down_proj.weight
    torch.testing.assert_close(layer, wanted.bfloat16(), rtol=0, atol=0)


def test_a_head_that_shares_its_matrix_gets_one_of_its_own(tiny_model: Path) -> None:
    folder = ended(tiny_model, target_modules="q_proj,lm_head")
    model = AutoModelForCausalLM.from_pretrained(merged(folder))
    torch.testing.assert_close(logits(model), apart(tiny_model, folder))
    assert not model.config.tie_word_embeddings
    unchanged = AutoModelForCausalLM.from_pretrained(tiny_model).get_input_embeddings().weight
    torch.testing.assert_close(model.get_input_embeddings().weight, unchanged)


def test_a_head_that_is_tied_by_its_familys_default_is_not_changed_alone(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", tie_word_embeddings=False)  # its head is stored too
    config = json.loads((base / "config.json").read_text())
    del config["tie_word_embeddings"]
    change = {stream.HEAD: LowRank(torch.ones(1, 64), torch.ones(384, 1), 1.0)}
    for family, placed in (("llama", change), ("gemma", None)):
        (base / "config.json").write_text(json.dumps(config | {"model_type": family, "architectures": None}))
        assert stream.placed(base, change) == placed


def test_in_memory_it_is_the_same_as_tensor_by_tensor(tiny_model: Path) -> None:
    folder = ended(tiny_model)
    streamed = logits(AutoModelForCausalLM.from_pretrained(merged(folder)))
    whole.merge(tiny_model, folder.result, folder.path / "other")
    told: list[tuple[int, int]] = []
    (again := folder.path / "again").mkdir()
    changed = merge.streamed(tiny_model, folder.result)
    merge.write(tiny_model, folder.result, changed, again, lambda done, total: told.append((done, total)))
    assert changed and told == [(done, len(changed)) for done in range(1, len(changed) + 1)], "how far it is"
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(folder.path / "other")), streamed)


def test_a_full_run_is_linked(tiny_model: Path) -> None:
    folder = ended(tiny_model, method="full")
    target = merged(folder)
    weights = "model.safetensors"
    assert (target / weights).stat().st_ino == (folder.result / weights).stat().st_ino
    assert json.loads((target / "config.json").read_text())["rope_theta"] == 10000.0, "as older readers know it"
    assert (target / "generation_config.json").stat().st_ino != (folder.result / "generation_config.json").stat().st_ino
    model = AutoModelForCausalLM.from_pretrained(target)
    torch.testing.assert_close(logits(model), logits(AutoModelForCausalLM.from_pretrained(folder.result)))


def test_an_answer_ends_where_a_turn_ends(tmp_path: Path) -> None:
    """A base model's own EOS is kept, after the token with which the chat template ends a turn."""
    base = make_model(tmp_path / "base")
    config = json.loads((base / "config.json").read_text()) | {"eos_token_id": 0}
    (base / "config.json").write_text(json.dumps(config))
    tokens = json.loads((base / "tokenizer_config.json").read_text()) | {"eos_token": "<|endoftext|>"}
    (base / "tokenizer_config.json").write_text(json.dumps(tokens))
    target = merged(ended(base))
    model = AutoModelForCausalLM.from_pretrained(target)
    assert model.generation_config.eos_token_id == [2, 0]
    chat = AutoTokenizer.from_pretrained(target).apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    assert chat == "<|im_start|>user\na<|im_end|>\n"


def test_the_card_says_what_was_done_and_obeys_nobody(tiny_model: Path) -> None:
    job = {"model": "org/base", "hub_id": "org/base\nlicense: mit", "data": "[x](http://evil) <b>\x1b[31m| rows"}
    folder = ended(tiny_model, job=job)
    text = (merged(folder) / "README.md").read_text()
    assert 'base_model: "org/base\\nlicense: mit"' in text
    assert r"\[x\](http://evil) \<b\>" in text and "\x1b" not in text
    for line in (
        "| rank | 4 |",
        "| learning_rate | 0.005 |",
        "| steps | 10 of 10 |",
        "| 0 | 2.5000 |",
        "| 10 | 1.7500 |",
    ):
        assert line in text.splitlines()
    assert "from 2.4000 (step 1) to 1.5000 (step 10)" in text
    assert "Checked: the logits of the merged model" in text


def test_a_path_of_this_box_is_not_told(tmp_path: Path, tiny_model: Path) -> None:
    text = (merged(ended(tiny_model, tmp_path / "secret" / "rows.jsonl")) / "README.md").read_text()
    assert "rows.jsonl" in text and "secret" not in text and str(tiny_model.parent) not in text


def test_a_merge_that_went_wrong_is_not_kept(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ended(tiny_model)
    right = LowRank.merged
    monkeypatch.setattr(LowRank, "merged", lambda self, weight: right(replace(self, scale=-1.0), weight))
    with pytest.raises(UserError, match="the merge went wrong"):
        merged(folder)
    assert not list((folder.path / "export").iterdir())
    assert (merged(folder, check=False) / "model.safetensors").is_file()


def test_rounding_is_told_from_a_missing_adapter(tiny_model: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(half)
    folder = ended(half, precision="bfloat16")
    good = check.compare(half, folder.result, merged(folder), range(3, 30))
    assert good.is_rounding and 0 < good.difference < good.change / 5
    assert (good.stored, good.computed) == (torch.bfloat16, torch.float32)
    in_own_type = check.compare(half, folder.result, merged(folder, "again"), range(3, 30), in_float32=False)
    assert in_own_type.is_rounding and in_own_type.computed == torch.bfloat16
    nothing = check.compare(half, folder.result, half, range(3, 30))
    assert not nothing.is_rounding
    assert nothing.difference == pytest.approx(nothing.change, rel=1e-3)


def test_quantised_weights_are_not_merged_into(tmp_path: Path, tiny_model: Path) -> None:
    folder = ended(tiny_model)
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    config = json.loads((base / "config.json").read_text()) | {"quantization_config": {"quant_method": "gptq"}}
    (base / "config.json").write_text(json.dumps(config))
    here = replace(found(folder), job=replace(folder.job(), model=str(base), model_folder=str(base)))
    with pytest.raises(UserError, match=r"quantised weights.*--to vllm"):
        export(here, "merged", None, silent)


def test_what_is_missing_is_said_before_anything_is_written(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ended(tiny_model)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: DiskUsage(100, 99, 1_000))
        with pytest.raises(UserError, match="and 1 kB are free in"):
            merged(folder)
    monkeypatch.setattr(host, "ram", lambda: Ram(1000, 1000, limited=False))
    with pytest.raises(UserError, match="--unchecked merges without comparing"):
        merged(folder)
    assert not (folder.path / "export" / "merged").exists()
    merged(folder, check=False)


def test_a_full_disk_leaves_nothing(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = ended(tiny_model)
    monkeypatch.setattr(stream, "_overwritten", full)
    with pytest.raises(UserError, match=r"can't be written to .*: No space left on device"):
        merged(folder)
    assert not list((folder.path / "export").iterdir())


def test_nothing_is_overwritten(tiny_model: Path, tmp_path: Path) -> None:
    folder = without_result(tiny_model)
    folder.result.mkdir()
    (folder.result / "adapter_config.json").write_text("{}")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already; remove it, or name another folder with --out"):
        export(found(folder), "merged", taken, silent)
    assert [x.name for x in taken.iterdir()] == ["mine.txt"]


def test_a_base_that_is_gone_is_named(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    folder = ended(base)
    shutil.rmtree(base)
    with pytest.raises(UserError, match=r"base .*/base is not there any more; put it back"):
        merged(folder)


def test_a_tensor_that_no_layer_takes_is_not_left_out(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a", rank_pattern={"q_proj": 4})
    path = adapter / "adapter_model.safetensors"
    named = {name.replace("model.layers", "_orig_mod.layers"): x for name, x in load_file(path).items()}
    save_file(named, path)
    (tmp_path / "out").mkdir()

    with pytest.raises(UserError, match=r"no layer takes its tensor base_model\.model\._orig_mod"):
        merge.write(tiny_model, adapter, merge.streamed(tiny_model, adapter), tmp_path / "out")
