"""Whole runs: the three methods end to end on a tiny model, and the files they leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GenerationMixin

from backend.answers import Method
from backend.run import control, history
from backend.run.folder import RunFolder
from backend.training import batches, evaluate, methods
from backend.training.parallel.execution import Execution
from backend.training.train import train
from tests.backend.training.helpers import ALL, events, log_text, losses, new_run, plan
from tests.tiny import make_model

IDS = torch.arange(3, 43).reshape(2, 20)


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found = model.eval()(input_ids=IDS).logits
    assert isinstance(found, Tensor)
    return found


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The logits of the model at the moment it was saved."""
    seen: dict[str, Tensor] = {}
    save = methods.save

    def remember(loaded: methods.Loaded, *rest: Any) -> None:
        seen["logits"] = logits(loaded.network)
        save(loaded, *rest)

    monkeypatch.setattr(methods, "save", remember)
    return seen


def reloaded(method: Method, base: Path, folder: Path) -> Any:
    """The result as any user would load it; for qlora over the same 4-bit base."""
    if method == "full":
        return AutoModelForCausalLM.from_pretrained(folder)
    if method == "lora":
        return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    network = methods.load(base, str(base), Execution(plan("qlora"), "cpu")).model.unload()
    return PeftModel.from_pretrained(network, folder)


@pytest.mark.parametrize("method", ALL)
def test_from_the_folder_to_a_result_that_loads(
    method: Method, tiny_model: Path, questions: Path, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    folder = new_run(tiny_model, questions, method, output=str(tmp_path / "mine"))
    assert train(folder) == "done"
    curve = losses(folder)
    assert list(curve) == list(range(1, 11))
    assert curve[10] < curve[1] - 0.3
    past = history.read(folder.events_file)
    assert past.evaluations[-1].loss < past.evaluations[0].loss - 0.3
    assert past.peak_bytes > 0 and past.state == "done" and past.phase == "done"
    torch.testing.assert_close(logits(reloaded(method, tiny_model, folder.result)), trained["logits"])
    copied = reloaded(method, tiny_model, tmp_path / "mine")
    torch.testing.assert_close(logits(copied), trained["logits"])
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert not torch.allclose(logits(base), trained["logits"], atol=1e-3)


def test_the_events_of_a_run(tiny_model: Path, questions: Path) -> None:
    folder = new_run(tiny_model, questions, "lora", sample_prompts="Is it so?\n" + "why " * 200)
    train(folder)
    early, started = events(folder, "run_started")
    assert early["model"] == started["model"] == str(tiny_model)
    assert (started["step"], started["total_steps"], started["train_rows"], started["eval_rows"]) == (0, 10, 36, 4)
    assert started["trainable_parameters"] == 2 * 4 * (6 * 64 + 2 * (64 + 32) + 2 * 3 * (64 + 128) - 2 * 64 - 3 * 192)
    assert torch.__version__.startswith(started["versions"]["torch"]) and started["device"] == "cpu"
    steps = events(folder, "step")
    assert [x["step"] for x in steps] == list(range(1, 11))
    for step in steps:
        assert step["total_steps"] == 10 and step["tokens"] > step["scored_tokens"] > 0
        assert step["grad_norm"] > 0 and step["step_seconds"] > 0 and step["tokens_per_second"] > 0
        assert step["eta_seconds"] >= 0 and step["learning_rate"] > 0
    assert [x["step"] for x in events(folder, "eval")] == [0, 5, 10]
    assert [x["step"] for x in events(folder, "checkpoint")] == [2, 4, 6, 8, 10]
    samples = events(folder, "sample")
    assert samples[0]["step"] == 0 and samples[-1]["step"] == 10 and len(samples) == 9
    assert (samples[0]["prompt"], samples[0]["wanted"]) == ("Is it so?", None) and "apples" in samples[1]["prompt"]
    assert any("is not asked: it takes more than half of max_length" in x["text"] for x in events(folder, "finding"))
    (end,) = events(folder, "run_finished")
    assert end["tokens"] == sum(step["tokens"] for step in steps)
    assert end["eval_loss_before"] > end["eval_loss"] and end["loss"] == steps[-1]["loss"]
    assert end["result"] == str(folder.result) and end["bytes"] > 10_000 and end["hours"] > 0
    phases = [x["name"] for x in events(folder, "phase")]
    assert phases[:3] == ["data", "load", "eval"] and phases[-1] == "save"
    assert {"sample", "train", "checkpoint"} <= set(phases)


def test_what_is_saved_beside_the_weights(tiny_model: Path, questions: Path) -> None:
    folder = new_run(tiny_model, questions, "lora")
    train(folder)
    settings = json.loads((folder.result / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(tiny_model)
    assert (settings["r"], settings["lora_alpha"], settings["bias"]) == (4, 8, "none")
    assert set(settings["target_modules"]) == {
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    }
    assert "local_files_only" not in (folder.result / "tokenizer_config.json").read_text()
    chat = AutoTokenizer.from_pretrained(folder.result).apply_chat_template(
        [{"role": "user", "content": "a"}], tokenize=False
    )
    assert chat == "<|im_start|>user\na<|im_end|>\n"
    assert not list(folder.path.glob(".writing*"))


def test_a_full_model_is_saved_in_the_format_it_came_in(tmp_path: Path, tiny_model: Path, questions: Path) -> None:
    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(half)
    folder = new_run(
        half, questions, "full", precision="bfloat16", learning_rate=1e-5, schedule="constant", max_steps=3
    )
    assert train(folder) == "done"
    assert AutoModelForCausalLM.from_pretrained(folder.result).dtype == torch.bfloat16
    master = checkpoint_weights(folder)["model.layers.0.mlp.up_proj.weight"]
    start = AutoModelForCausalLM.from_pretrained(half).model.layers[0].mlp.up_proj.weight.float()
    assert master.dtype == torch.float32
    moved = (master - start).abs() > 0
    rounded = (master.bfloat16().float() - start).abs() > 0
    assert moved.float().mean() > 0.9, "float32 weights take every update"
    assert rounded.float().mean() < 0.5, "16-bit weights would have lost most of them"


def base_model(folder: Path, dtype: torch.dtype = torch.bfloat16) -> Path:
    """A model whose texts end in <|endoftext|> (0) and whose turns in <|im_end|> (2); its settings are not right."""
    model = AutoModelForCausalLM.from_pretrained(make_model(folder / "made"), dtype=dtype)
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder / "made")
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(folder)
    settings = {"eos_token_id": 0, "pad_token_id": 0, "temperature": 0.6, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_base_model_tuned_on_chat_stops_at_the_end_of_a_turn(
    method: Method, tmp_path: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    generate = GenerationMixin.generate

    def watched(self: Any, **options: Any) -> Any:
        asked.append(options["generation_config"].eos_token_id)
        return generate(self, **options)

    monkeypatch.setattr(GenerationMixin, "generate", watched)
    folder = new_run(base_model(tmp_path / "base"), questions, method, max_steps=1)
    assert train(folder) == "done", folder.log_file.read_text()
    assert asked and all(ends == [2, 0] for ends in asked)
    settings = GenerationConfig.from_pretrained(folder.result)
    assert (settings.eos_token_id, settings.temperature) == ([2, 0], 0.6)


def test_a_tied_head_is_saved_once_and_buffers_as_they_are(tmp_path: Path) -> None:
    base = base_model(tmp_path / "base")
    it = methods.load(base, str(base), Execution(plan("full"), "cpu"))
    it.model.register_buffer("counts", torch.tensor([70_001, 3]))
    methods.save(it, plan("full"), tmp_path / "saved")
    with safe_open(tmp_path / "saved" / "model.safetensors", "pt") as file:
        saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    assert "lm_head.weight" not in saved and saved["model.embed_tokens.weight"].dtype == torch.bfloat16
    assert saved["counts"].tolist() == [70_001, 3]
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert again.lm_head.weight is again.model.embed_tokens.weight
    torch.testing.assert_close(logits(again.float()), logits(it.network))


def checkpoint_weights(folder: RunFolder) -> dict[str, Tensor]:
    from backend.training.saving.checkpoint import newest

    found, _ = newest(folder.checkpoints)
    assert found is not None
    return found.weights()


def test_no_evaluation_if_nothing_is_held_out(tiny_model: Path, questions: Path) -> None:
    folder = new_run(tiny_model, questions, "lora", eval_fraction=0.0, max_steps=2)
    assert train(folder) == "done"
    assert not events(folder, "eval")
    (end,) = events(folder, "run_finished")
    assert end["eval_loss"] is None and end["eval_loss_before"] is None


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_16_bits_follow_float32(method: Method, precision: str, tiny_model: Path, questions: Path) -> None:
    ours = new_run(tiny_model, questions, method, precision=precision, max_steps=5)
    exact = new_run(tiny_model, questions, method, max_steps=5)
    assert train(ours) == train(exact) == "done"
    for step, loss in losses(exact).items():
        assert losses(ours)[step] == pytest.approx(loss, rel=0.02)


def test_lean_settings_make_the_same_curve(tiny_model: Path, questions: Path) -> None:
    usual = new_run(tiny_model, questions, "lora")
    lean = new_run(tiny_model, questions, "lora", chunked_loss=True, checkpointing=True, packing=False, micro_batch=1)
    assert train(usual) == train(lean) == "done"
    assert losses(lean) == pytest.approx(losses(usual), rel=1e-3)


def test_same_seed_same_curve_and_another_seed_another(tiny_model: Path, questions: Path) -> None:
    curves = []
    for seed in (1, 1, 2):
        folder = new_run(tiny_model, questions, "lora", seed=seed, dropout=0.1, max_steps=4)
        train(folder)
        curves.append(losses(folder))
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


def test_evaluating_and_saving_do_not_change_the_losses(tiny_model: Path, questions: Path) -> None:
    """Evaluations, samples and checkpoints draw from no generator that training draws from."""
    curves = []
    for eval_every, save_every in ((1, 1), (100, 100), (3, 2)):
        often = {"eval_every": eval_every, "save_every": save_every}
        folder = new_run(tiny_model, questions, "lora", dropout=0.2, max_steps=6, **often)
        assert train(folder) == "done"
        curves.append(losses(folder))
    assert curves[0] == curves[1] == curves[2]


def test_a_family_without_sdpa_is_trained_with_what_it_has(tmp_path: Path, tiny_model: Path, questions: Path) -> None:
    from transformers import AutoConfig

    from tests.backend.training.families import FAMILIES, SIZES

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gemma2", **SIZES | FAMILIES["gemma2"]))
    model.save_pretrained(tmp_path / "gemma")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "gemma")
    folder = new_run(tmp_path / "gemma", questions, "lora", max_steps=2, chunked_loss=True)
    assert train(folder) == "done"
    assert "this model has no sdpa attention; eager is used" in log_text(folder)


def test_a_model_that_can_t_keep_rows_apart_trains_them_one_by_one(
    tmp_path: Path, tiny_model: Path, questions: Path
) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=384, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=0.2)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "mamba")
    folder = new_run(tmp_path / "mamba", questions, "full", max_steps=3, learning_rate=2e-3)
    assert train(folder) == "done", folder.log_file.read_text()
    assert "this model can't keep packed rows apart, so that each row is a sequence of its own" in log_text(folder)
    assert losses(folder)[3] < losses(folder)[1]


def test_untied_heads_and_other_families_train(tmp_path: Path, questions: Path) -> None:
    for family in ("qwen2", "mistral"):
        model = make_model(tmp_path / family, family, tie_word_embeddings=False)
        folder = new_run(model, questions, "full", max_steps=4, learning_rate=2e-3)
        assert train(folder) == "done", folder.log_file.read_text()
        assert losses(folder)[4] < losses(folder)[1]


def test_a_stop_breaks_an_evaluation_off(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(tiny_model, questions, packing=False, micro_batch=1, eval_fraction=0.5)
    evaluated: list[int] = []
    arrange = batches.micro_batches

    class Stopping(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            for batch in super().__iter__():
                if len(evaluated) == 2:
                    control.send(folder.commands_file, "stop")
                evaluated.append(1)
                yield batch

    def stopping(*arguments: Any, **options: Any) -> list[Any]:
        return Stopping(arrange(*arguments, **options))

    monkeypatch.setattr(evaluate, "micro_batches", stopping)
    assert train(folder) == "stopped"
    assert len(evaluated) == 3, "of twenty rows"
    assert not events(folder, "eval") and not events(folder, "sample") and not events(folder, "step")
    assert "the evaluation was broken off" in log_text(folder)
    assert train(folder) == "done"
    assert events(folder, "eval")[0]["step"] == 0, "resumed, it is made up for"


def test_a_copy_that_can_not_be_made_is_no_failure(tiny_model: Path, questions: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = new_run(tiny_model, questions, max_steps=1, eval_fraction=0.0, output=str(tmp_path / "file" / "mine"))
    assert train(folder) == "done"
    assert "the result could not be copied" in log_text(folder)
    assert events(folder, "run_finished")[-1]["result"] == str(folder.result)
    assert (folder.result / "adapter_model.safetensors").is_file()
