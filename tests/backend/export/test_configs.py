"""Other trainers' configs: their values follow from the plan, and their rows are the run's."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend import yaml_text
from backend.data.prepare import prepare
from backend.errors import UserError
from backend.export.export import export
from backend.plan.plan import Plan
from backend.run.event_log import EventLog
from backend.run.events import Replanned, RunFinished
from backend.run.folder import RunFolder
from backend.training.schedule import learning_rate
from tests.backend.export.helpers import found, silent, without_result
from tests.test_layers import HEAVY, command, modules_after
from tests.tiny import make_tokenizer

FILES = {"trl": "sft.yaml", "axolotl": "axolotl.yaml", "llamafactory": "llamafactory.yaml"}


def run(model: Path, data: Path, method: Any = "lora", job: dict[str, Any] | None = None, **changes: Any) -> RunFolder:
    """A run that looks finished; the configs need its tokenizer but no weights."""
    folder = without_result(model, data, method, job, **changes)
    folder.result.mkdir()
    make_tokenizer(folder.result)
    (folder.result / ("config.json" if method == "full" else "adapter_config.json")).write_text("{}")
    return folder


def config(folder: RunFolder, trainer: Any) -> tuple[dict[str, Any], str]:
    """The parsed config, and its comments."""
    text = (export(found(folder), trainer, None, silent).folder / FILES[trainer]).read_text()
    return yaml.safe_load(text), "\n".join(line for line in text.splitlines() if line.startswith("#"))


@pytest.fixture
def make(tiny_model: Path, questions: Path) -> Callable[..., RunFolder]:
    return lambda *args, **changes: run(tiny_model, questions, *args, **changes)


def test_trl(make: Callable[..., RunFolder], tiny_model: Path) -> None:
    said, comments = config(make("qlora", learning_rate=2e-5, dropout=0.1, optimizer="paged_adamw_8bit"), "trl")
    assert (said["model_name_or_path"], said["dataset_name"]) == (str(tiny_model), "data")
    assert (said["use_peft"], said["lora_r"], said["lora_alpha"], said["lora_dropout"]) == (True, 4, 8, 0.1)
    assert said["lora_target_modules"] == ["all-linear"]
    assert (said["load_in_4bit"], said["bnb_4bit_quant_type"], said["use_bnb_nested_quant"]) == (True, "nf4", True)
    assert said["per_device_train_batch_size"] * said["gradient_accumulation_steps"] == 8
    assert said["per_device_train_batch_size"] == 2
    assert (said["learning_rate"], said["optim"]) == (2e-5, "paged_adamw_8bit")
    assert (said["max_length"], said["num_train_epochs"], said["seed"]) == (128, 2.0, 0)
    assert (said["lr_scheduler_type"], said["lr_scheduler_kwargs"]) == ("cosine_with_min_lr", {"min_lr_rate": 0.1})
    assert (said["bf16"], said["fp16"], said["dtype"], said["use_cpu"]) == (False, False, "float32", True)
    assert (said["eval_strategy"], said["eval_steps"], said["completion_only_loss"]) == ("steps", 5, True)
    assert "max_steps" not in said and "assistant_only_loss" not in said and "chat_template_path" not in said
    assert "packing: off, though the run packed" in comments and said["packing"] is False


def test_axolotl(make: Callable[..., RunFolder]) -> None:
    said, _ = config(make(target_modules="q_proj, v_proj", max_steps=7, checkpointing=True), "axolotl")
    assert (said["adapter"], said["load_in_4bit"], said["lora_target_modules"]) == ("lora", False, ["q_proj", "v_proj"])
    assert "lora_target_linear" not in said
    assert said["micro_batch_size"] * said["gradient_accumulation_steps"] == 8
    assert (said["num_epochs"], said["max_steps"], said["sequence_len"]) == (2.0, 7, 128)
    assert (said["lr_scheduler"], said["cosine_min_lr_ratio"], said["warmup_steps"]) == ("cosine", 0.1, 1)
    assert (said["gradient_checkpointing"], said["gradient_checkpointing_kwargs"]) == (True, {"use_reentrant": False})
    (data,) = said["datasets"]
    assert (data["path"], data["type"], data["roles_to_train"]) == ("data/train.jsonl", "chat_template", ["assistant"])
    assert said["test_datasets"][0]["path"] == "data/test.jsonl" and said["chat_template"] == "tokenizer_default"


def test_llamafactory(make: Callable[..., RunFolder]) -> None:
    folder = make("qlora", schedule="linear", learning_rate=1e-4)
    said, _ = config(folder, "llamafactory")
    assert (said["finetuning_type"], said["lora_rank"], said["lora_alpha"], said["lora_target"]) == (
        "lora",
        4,
        8,
        "all",
    )
    assert (said["quantization_bit"], said["quantization_type"], said["double_quantization"]) == (4, "nf4", True)
    assert said["per_device_train_batch_size"] * said["gradient_accumulation_steps"] == 8
    assert said["lr_scheduler_type"] == "polynomial"
    assert said["lr_scheduler_kwargs"] == {"lr_end": pytest.approx(1e-5), "power": 1.0}
    assert (said["cutoff_len"], said["flash_attn"], said["disable_gradient_checkpointing"]) == (128, "sdpa", True)
    assert said["dataset_dir"] == "data"
    info = json.loads((folder.path / "export" / "llamafactory" / "data" / "dataset_info.json").read_text())
    assert set(info) == {said["dataset"], said["eval_dataset"]}
    assert (info["train"]["file_name"], info["train"]["tags"]["role_tag"]) == ("train.jsonl", "role")


def test_a_full_run_names_no_adapter(make: Callable[..., RunFolder]) -> None:
    folder = make("full", precision="bfloat16")
    said, _ = config(folder, "trl")
    assert (said["dtype"], said["bf16"]) == ("float32", True)
    assert not [key for key in said if key.startswith(("lora", "use_peft", "load_in"))]
    said, comments = config(folder, "axolotl")
    assert "adapter" not in said and "axolotl keeps the weights in bfloat16" in comments
    assert config(folder, "llamafactory")[0]["finetuning_type"] == "full"


def test_weights_in_16_bits(make: Callable[..., RunFolder]) -> None:
    folder = make("full", precision="bfloat16", weights_dtype="bfloat16", optimizer_in_backward=True)
    said, comments = config(folder, "trl")
    assert said["dtype"] == "bfloat16"
    assert "the run rounded stochastically" in comments and "optimizer_in_backward: no equivalent" in comments
    assert config(folder, "llamafactory")[0]["pure_bf16"] is True


def test_the_rows_are_the_runs(make: Callable[..., RunFolder], tiny_model: Path, questions: Path) -> None:
    folder = make()
    config(folder, "trl")
    config(folder, "axolotl")
    data = prepare(str(questions), (), tiny_model, 128, 0.1, 0)
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    for name, part in (("train.jsonl", data.train), ("test.jsonl", data.held_out)):
        lines = (folder.path / "export" / "trl" / "data" / name).read_text().splitlines()
        pairs = [json.loads(line) for line in lines]
        wanted = [rows[int(i)] for i in part.index]
        assert [x["prompt"] for x in pairs] == [[{"role": "user", "content": x["question"]}] for x in wanted]
        assert [x["completion"][0]["content"] for x in pairs] == [x["answer"] for x in wanted]
        talks = (folder.path / "export" / "axolotl" / "data" / name).read_text().splitlines()
        assert [json.loads(x)["messages"] for x in talks] == [x["prompt"] + x["completion"] for x in pairs]


def test_conversations_with_unscored_answers(tiny_model: Path, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": 0},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
        {"role": "user", "content": "e"},
        {"role": "assistant", "content": "f"},
    ]
    data = tmp_path / "talks.jsonl"
    data.write_text(json.dumps({"messages": turns}) + "\n")
    folder = run(tiny_model, data, eval_fraction=0.0)
    said, comments = config(folder, "trl")
    assert said["assistant_only_loss"] is True and said["eval_strategy"] == "no" and "eval_steps" not in said
    assert "TRL scores them all" in comments
    said, _ = config(folder, "axolotl")
    assert said["datasets"][0]["message_field_training"] == "train" and "test_datasets" not in said
    (line,) = (folder.path / "export" / "axolotl" / "data" / "train.jsonl").read_text().splitlines()
    assert [x["train"] for x in json.loads(line)["messages"]] == [False, False, False, True, False, True]


def test_documents(tiny_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": f"A text of apples, number {i}."}) + "\n" for i in range(30)))
    folder = run(tiny_model, data)
    assert not {"completion_only_loss", "assistant_only_loss"} & set(config(folder, "trl")[0])
    assert config(folder, "axolotl")[0]["datasets"][0]["type"] == "completion"
    assert config(folder, "llamafactory")[0]["stage"] == "pt"


def test_a_stand_in_template_goes_along(tmp_path: Path, questions: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    make_tokenizer(base)
    path = base / "tokenizer_config.json"
    path.write_text(json.dumps({k: x for k, x in json.loads(path.read_text()).items() if k != "chat_template"}))
    folder = run(base, questions)
    (folder.result / "tokenizer_config.json").write_text(path.read_text())
    stand_in = str(folder.result / "chat_template.jinja")
    assert config(folder, "trl")[0]["chat_template_path"] == stand_in
    assert config(folder, "axolotl")[0]["chat_template_jinja"] == stand_in


def test_what_running_out_of_memory_changed_is_kept(make: Callable[..., RunFolder]) -> None:
    folder = make()
    log = EventLog(folder.events_file)
    log.write(Replanned(step=3, changed={"micro_batch": 1, "checkpointing": True}, text=""))
    log.write(RunFinished(state="done", step=10))
    said, _ = config(folder, "trl")
    assert (said["per_device_train_batch_size"], said["gradient_accumulation_steps"]) == (1, 8)
    assert said["gradient_checkpointing"] is True


def test_a_micro_batch_that_does_not_divide_is_made_smaller(make: Callable[..., RunFolder]) -> None:
    said, comments = config(make(micro_batch=3), "trl")
    assert (said["per_device_train_batch_size"], said["gradient_accumulation_steps"]) == (2, 4)
    assert "micro-batch: 2 for 3" in comments


def test_a_model_from_the_hub_is_named_by_its_id(make: Callable[..., RunFolder]) -> None:
    folder = make(job={"hub_id": "org/base"})
    assert config(folder, "axolotl")[0]["base_model"] == "org/base"


@pytest.mark.parametrize("trainer", FILES)
def test_no_config_needs_torch(trainer: str, make: Callable[..., RunFolder], fttui_home: Path) -> None:
    folder = make()
    loaded = modules_after(command("export", folder.name, "--to", trainer), fttui_home)
    assert (folder.path / "export" / trainer / FILES[trainer]).is_file()
    assert not loaded & (HEAVY - {"datasets"} | {"textual"})  # tokenised rows are kept through datasets


def test_data_that_is_gone_is_said(tiny_model: Path, tmp_path: Path) -> None:
    folder = run(tiny_model, tmp_path / "gone.jsonl")
    with pytest.raises(UserError, match=r"gone\.jsonl does not exist"):
        export(found(folder), "trl", None, silent)
    assert not (folder.path / "export" / "trl").exists()


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_schedule_is_transformers_of_that_name(schedule: Any, make: Callable[..., RunFolder]) -> None:
    """After warm-up, within the difference that one step makes."""
    import torch
    from transformers import get_scheduler

    said, _ = config(make(schedule=schedule, warmup_fraction=0.1), "trl")
    plan, total = Plan(schedule=schedule, learning_rate=5e-3, warmup_fraction=0.1), 200
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=said["learning_rate"])
    warmup = math.ceil(0.1 * total)
    more = said["lr_scheduler_kwargs"]
    theirs = get_scheduler(said["lr_scheduler_type"], optimizer, warmup, total, scheduler_specific_kwargs=more)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    for step in range(warmup, total):
        assert learning_rate(plan, step, total) == pytest.approx(rates[step], abs=5e-3 * 0.01)


def test_numbers_stay_numbers() -> None:
    for number in (2e-05, 1e-4, 0.1, 3.0, 1e-10, 1.5e-7, 16, True, "2e-05", None, {"a": 1e-6}, ["x: y", "#"]):
        text = yaml_text.document(["a\nb: 1"], {"key": number})
        assert yaml.safe_load(text) == ({"key": number} if number is not None else None)


def test_steps_are_counted_as_the_run_counts(make: Callable[..., RunFolder]) -> None:
    said, _ = config(make(warmup_fraction=0.3), "trl")
    assert said["warmup_steps"] == math.ceil(0.3 * 10)


@pytest.mark.parametrize(
    ("trainer", "rows_a_pass"),
    [
        ("trl", "per_device_train_batch_size"),
        ("axolotl", "micro_batch_size"),
        ("llamafactory", "per_device_train_batch_size"),
    ],
)
def test_over_several_devices_the_same_rows_make_an_update(
    make: Callable[..., RunFolder], trainer: str, rows_a_pass: str
) -> None:
    said, comments = config(make(processes=2, micro_batch=8), trainer)
    assert (said[rows_a_pass], said["gradient_accumulation_steps"]) == (4, 1)
    words = comments.replace("\n#", "").replace("  ", " ")
    assert "the run trained on 2 devices; start it as 2 processes" in words
    assert "4 x 1 x 2 rows make an update of 8" in words
    assert "FSDP" not in words


def test_rows_that_cannot_be_shared_evenly_take_fewer_devices(make: Callable[..., RunFolder]) -> None:
    said, comments = config(make("full", processes=3), "trl")
    assert said["per_device_train_batch_size"] * said["gradient_accumulation_steps"] * 2 == 8
    words = comments.replace("\n#", "").replace("  ", " ")
    assert (
        "start it as 2 processes, such as by accelerate launch --num_processes 2, since 8 rows are no multiple of 3"
        in words
    )
    assert "FSDP" in words


@pytest.mark.parametrize("trainer", FILES)
def test_preferences_are_not_exported_as_if_answers_were_learned(make: Callable[..., RunFolder], trainer: Any) -> None:
    with pytest.raises(UserError, match="a run with objective dpo can't be exported as another trainer's config"):
        export(found(make(objective="dpo", packing=False)), trainer, None, silent)


@pytest.mark.parametrize("trainer", FILES)
def test_a_limit_of_steps_beyond_the_epochs_is_not_passed_on(make: Callable[..., RunFolder], trainer: str) -> None:
    """The other trainer would train for that many steps, whatever the epochs say."""
    assert "max_steps" not in config(make(max_steps=1000), trainer)[0]
    assert config(make(max_steps=3), trainer)[0]["max_steps"] == 3


def test_what_ends_a_run_or_chooses_its_weights_is_named(make: Callable[..., RunFolder]) -> None:
    _, comments = config(make(early_stopping_patience=2, replay_fraction=0.1), "trl")
    words = comments.replace("\n#", "").replace("  ", " ")
    assert "early_stopping_patience: not carried; it ends at its last step." in words
    assert (
        "the run saved the weights with the lowest held-out loss" in words and "replay_fraction: the general" in words
    )
    _, comments = config(make(keep="last"), "trl")
    assert "- keep:" not in comments and "not carried" not in comments


def test_all_linear_layers_and_the_head_are_listed_by_name(make: Callable[..., RunFolder]) -> None:
    """Other trainers don't understand `all-linear` within a list: peft would put an adapter on the head alone."""
    folder = make(target_modules="all-linear,lm_head")
    names = ["down_proj", "lm_head", "q_proj"]
    (folder.result / "adapter_config.json").write_text(json.dumps({"target_modules": names[::-1], "r": 4}))
    for trainer, key in (("trl", "lora_target_modules"), ("axolotl", "lora_target_modules")):
        assert config(folder, trainer)[0][key] == names
    assert config(folder, "llamafactory")[0]["lora_target"] == "down_proj,lm_head,q_proj"


@pytest.mark.parametrize(
    ("trainer", "key", "value"),
    [
        ("trl", "lora_modules_to_save", ["model.norm"]),
        ("axolotl", "lora_modules_to_save", ["model.norm"]),
        ("llamafactory", "additional_target", "model.norm"),
    ],
)
def test_whole_modules_are_named_as_peft_tells_them_apart(
    make: Callable[..., RunFolder], trainer: str, key: str, value: Any
) -> None:
    """`norm` alone would match the end of every block norm's name too."""
    folder = make(modules_to_save="norm")
    assert config(folder, trainer)[0][key] in (["norm"], "norm"), "an older adapter does not say"
    (folder.result / "adapter_config.json").write_text(json.dumps({"modules_to_save": ["model.norm"]}))
    shutil.rmtree(folder.path / "export")
    assert config(folder, trainer)[0][key] == value


def test_layers_of_the_text_alone_are_named_in_full(make: Callable[..., RunFolder]) -> None:
    folder = make()
    names = ["model.language_model.layers.0.q_proj", "model.language_model.layers.1.q_proj"]
    (folder.result / "adapter_config.json").write_text(json.dumps({"target_modules": names}))
    assert config(folder, "trl")[0]["lora_target_modules"] == names
