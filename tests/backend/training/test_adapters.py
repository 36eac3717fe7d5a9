"""DoRA, rsLoRA, modules that train whole, new tokens, and the start from an adapter: from the plan to the merge."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.answers import Answers, Method
from backend.export import source
from backend.export.export import export
from backend.planner import jobs, situation
from backend.planner.estimates import Comparison
from backend.run import control
from backend.run.folder import RunFolder
from backend.training import loss, methods
from backend.training.batches import micro_batches
from backend.training.chat import Talk
from backend.training.merging import rows as merging_rows
from backend.training.parallel.execution import Execution
from backend.training.saving import checkpoint
from backend.training.start import Start
from backend.training.train import train
from tests.backend.training.helpers import events, losses, one_step, plan, random_rows
from tests.backend.training.test_resume import on_step
from tests.tiny import make_model

IDS = torch.arange(3, 43).reshape(2, 20)
SMALL = ("precision=float32", "max_steps=3", "learning_rate=0.01", "save_every=2", "eval_fraction=0.1")
NEW = "<apple>\n<pear>\n"


def logits(model: Any, ids: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(input_ids=ids).logits
    return found.float()


def whole(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


def adapted(base: Path, run: RunFolder) -> Any:
    return PeftModel.from_pretrained(whole(base), run.result)


def planned(model: Path, data: Path, method: Method, *settings: str, **answers: Any) -> tuple[Comparison, RunFolder]:
    given = Answers(model=str(model), data=str(data), set=(*SMALL, *settings, f"method={method}"), effective_batch=8)
    found = situation.predict(replace(given, **answers))
    return found, RunFolder.create(jobs.job(found, method))


def trained(model: Path, data: Path, method: Method, *settings: str, **answers: Any) -> RunFolder:
    """A finished run with as many trainable parameters as planned."""
    found, run = planned(model, data, method, *settings, **answers)
    assert train(run) == "done", run.log_file.read_text()
    assert events(run, "run_started")[-1]["trainable_parameters"] == found.methods[method].trainable_parameters
    return run


def merged(run: RunFolder) -> Path:
    return export(source.find(run.name), "merged", None, lambda _: None).folder


KINDS = {
    "dora": ("use_dora=true",),
    "rslora": ("use_rslora=true", "rank=16"),
    "dora and rslora": ("use_dora=true", "use_rslora=true", "target_modules=q_proj,down_proj"),
    "embedding": ("modules_to_save=embed_tokens",),
    "head and norms": ("modules_to_save=embed_tokens,lm_head,norm,input_layernorm",),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "tied"), [("lora", True), ("qlora", False)])
def test_plain_peft_loads_it_and_the_merged_model_answers_alike(
    kind: str, method: Method, tied: bool, tmp_path: Path, questions: Path
) -> None:
    base = make_model(tmp_path / "base", tie_word_embeddings=tied)
    run = trained(base, questions, method, *KINDS[kind])
    target = merged(run)
    model = whole(target)
    torch.testing.assert_close(logits(model), logits(adapted(base, run)), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits(model), logits(whole(base)), atol=1e-3)
    shares = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert shares == tied == model.config.tie_word_embeddings


def test_new_tokens_get_rows_where_the_size_of_the_vocabulary_is_the_familys_own(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"hidden_size": 8, "head_dim": 2, "num_attention_heads": 4, "intermediate_size": 8}
    base, grown = make_model(tmp_path / "base", vocab_size=32000, num_hidden_layers=1, **sizes), tmp_path / "grown"
    config = json.loads((base / "config.json").read_text())
    del config["vocab_size"]  # a Llama's is 32,000 then
    (base / "config.json").write_text(json.dumps(config))
    grown.mkdir()
    merging_rows.add(base, [32000], grown)
    assert whole(grown).get_input_embeddings().weight.shape == (32001, 8)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_in_16_bits_and_with_the_memory_savers(method: Method, tmp_path: Path, questions: Path) -> None:
    (tmp_path / "new.txt").write_text(NEW)
    base = make_model(tmp_path / "base", tie_word_embeddings=False)
    whole(base).to(torch.bfloat16).save_pretrained(base)
    savers = ("precision=bfloat16", "checkpointing=true", "chunked_loss=true", "optimizer=adamw_8bit")
    settings = ("use_dora=true", "modules_to_save=lm_head", *savers)
    run = trained(base, questions, method, *settings, add_tokens=str(tmp_path / "new.txt"))
    assert not [event for event in events(run, "log") if event.get("level") == "warning"]
    model = AutoModelForCausalLM.from_pretrained(merged(run), dtype="auto")  # it is compared there
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["dora", "head and norms"])
def test_resumed_it_ends_bit_for_bit_as_the_undisturbed_run(
    kind: str, tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "new.txt").write_text(NEW)
    answers = {"add_tokens": str(tmp_path / "new.txt")}
    undisturbed = trained(tiny_model, questions, "qlora", *KINDS[kind], **answers)
    _, run = planned(tiny_model, questions, "qlora", *KINDS[kind], **answers)
    on_step(monkeypatch, 2, lambda: control.send(run.commands_file, "pause"))
    assert train(run) == "paused"
    assert train(run) == "done"
    assert losses(run) == losses(undisturbed)
    ours, theirs = (checkpoint.newest(one.checkpoints)[0] for one in (run, undisturbed))
    assert ours is not None and theirs is not None
    wanted = theirs.weights()
    assert all(torch.equal(value, wanted[name]) for name, value in ours.weights().items())


@pytest.mark.parametrize(("method", "tied"), [("lora", True), ("lora", False), ("qlora", True), ("full", False)])
def test_new_tokens_are_read_trained_and_saved(method: Method, tied: bool, tmp_path: Path, questions: Path) -> None:
    base = make_model(tmp_path / "base", tie_word_embeddings=tied)
    (tmp_path / "new.txt").write_text(NEW)
    data = tmp_path / "rows.jsonl"
    data.write_text(questions.read_text().replace("apples", "<apple>"))
    run = trained(base, data, method, add_tokens=str(tmp_path / "new.txt"))
    tokenizer = AutoTokenizer.from_pretrained(run.result)
    new = tokenizer.convert_tokens_to_ids(["<apple>", "<pear>"])
    ids = torch.tensor([tokenizer("How many <apple> are left?").input_ids])
    assert new[0] in ids[0].tolist()
    model = whole(merged(run))
    before, after = whole(base).get_input_embeddings().weight, model.get_input_embeddings().weight
    mean = before[: min(new)].mean(dim=0)
    if method == "full":
        torch.testing.assert_close(logits(model, ids), logits(whole(run.result), ids))
        return
    torch.testing.assert_close(logits(model, ids), logits(adapted(run.path / "base", run), ids), rtol=1e-4, atol=1e-5)
    others = [row for row in range(len(before)) if row not in new]
    assert torch.equal(after[others], before[others])
    assert not torch.allclose(after[new[0]], mean, atol=1e-4)
    larger = whole(base)
    larger.resize_token_embeddings(len(after), mean_resizing=False)
    theirs = PeftModel.from_pretrained(larger, run.result)
    torch.testing.assert_close(logits(theirs, ids), logits(model, ids), rtol=1e-4, atol=1e-5)


def test_new_rows_begin_as_the_mean_and_the_files_others_stay(tmp_path: Path, questions: Path) -> None:
    base = make_model(tmp_path / "base", tie_word_embeddings=False)
    (tmp_path / "new.txt").write_text(NEW)
    run = trained(base, questions, "lora", add_tokens=str(tmp_path / "new.txt"))
    own, plain = whole(run.path / "base"), whole(base)
    rows = own.config.vocab_size
    for made, given in (
        (own.get_input_embeddings().weight, plain.get_input_embeddings().weight),
        (own.get_output_embeddings().weight, plain.get_output_embeddings().weight),
    ):
        assert len(made) == rows
        kept = min(len(given), rows - 2)
        assert torch.equal(made[:kept], given[:kept])
        torch.testing.assert_close(made[-1], given[:kept].mean(dim=0))
        assert torch.equal(made[-1], made[-2])


@pytest.mark.parametrize("kind", ["dora", "embedding"])
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_it_goes_on_from_an_adapter_where_peft_would(
    method: Method, kind: str, tiny_model: Path, questions: Path
) -> None:
    first = trained(tiny_model, questions, "lora", *KINDS[kind], "packing=false")
    second = trained(tiny_model, questions, method, "packing=false", adapter=first.name)
    ended, began = events(first, "eval")[-1]["loss"], events(second, "eval")[0]["loss"]
    assert began == pytest.approx(ended, rel=1e-5 if method == "lora" else 0.02)
    assert began < events(first, "eval")[0]["loss"] - 0.05
    torch.testing.assert_close(logits(whole(merged(second))), logits(adapted(tiny_model, second)), rtol=1e-4, atol=1e-5)


def test_the_first_loss_is_that_of_pefts_model(tiny_model: Path, questions: Path) -> None:
    first = trained(tiny_model, questions, "lora")
    of_first = first.job().plan
    settings, rows = plan("lora", rank=of_first.rank, alpha=of_first.alpha), random_rows(8)
    execution = Execution(settings, "cpu")
    ours = methods.load(tiny_model, "x", execution, Start(adapter=first.result))
    theirs = adapted(tiny_model, first).base_model.model
    batches = micro_batches(rows, execution)
    with torch.no_grad():
        summed = sum(float(loss.whole(theirs)(batch)) for batch in batches)
    wanted = summed / sum(batch.scored for batch in batches)
    assert one_step(ours, rows, settings)[0] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("method", "settings"), [("full", ()), ("lora", ("rank=4",))])
def test_it_begins_with_the_adapter_merged(
    method: Method, settings: tuple[str, ...], tiny_model: Path, questions: Path
) -> None:
    first = trained(tiny_model, questions, "lora", "use_rslora=true")
    second = trained(tiny_model, questions, method, *settings, adapter=str(first.result))
    ended, began = events(first, "eval")[-1]["loss"], events(second, "eval")[0]["loss"]
    assert began == pytest.approx(ended, rel=1e-4)
    torch.testing.assert_close(
        logits(whole(second.path / "base")), logits(adapted(tiny_model, first)), rtol=1e-4, atol=1e-5
    )
    if method == "lora":
        theirs = adapted(second.path / "base", second)
        torch.testing.assert_close(logits(whole(merged(second))), logits(theirs), rtol=1e-4, atol=1e-5)


def test_one_talks_with_it(tmp_path: Path, tiny_model: Path, questions: Path) -> None:
    (tmp_path / "new.txt").write_text(NEW)
    run = trained(tiny_model, questions, "qlora", "use_dora=true", add_tokens=str(tmp_path / "new.txt"))
    talk = Talk(run)
    assert talk.answer([{"role": "user", "content": "How many <apple>?"}], 3).tokens
    off = talk.answer([{"role": "user", "content": "How many <apple>?"}], 3, adapter=False)
    assert off.tokens


def test_its_folder_may_go_once_the_run_has_begun(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained(tiny_model, questions, "lora")
    _, second = planned(tiny_model, questions, "lora", adapter=first.name)
    on_step(monkeypatch, 1, lambda: control.send(second.commands_file, "pause"))
    assert train(second) == "paused"
    (first.result / "adapter_config.json").unlink()
    assert train(second) == "done"
