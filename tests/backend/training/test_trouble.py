"""What goes wrong: memory, figures that are not finite, wrong inputs. Each ends, or continues, with a sentence."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.answers import Method
from backend.measured import ran_out
from backend.plan.job import Job, Prediction
from backend.plan.plan import Plan
from backend.run import control
from backend.run.folder import RunFolder
from backend.training import journal, loss, methods, relief, sample, session
from backend.training.advice import would_fit
from backend.training.batches import Batch
from backend.training.failure import is_out_of_memory
from backend.training.optim import optimizers
from backend.training.relief import cheaper
from backend.training.saving.checkpoint import newest
from backend.training.train import train
from tests.backend.training.helpers import events, log_text, losses, new_run

OOM = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
    RuntimeError(  # what torch says on a MIG slice, WSL or Jetson
        'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/CUDACachingAllocator.cpp":1165, please report '
        "a bug to PyTorch. "
    ),
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


def test_each_cheaper_setting_in_turn() -> None:
    plan = Plan(micro_batch=3)
    changes = []
    while (found := cheaper(plan, can_chunk=True, can_offload=True)) is not None:
        plan, change = found
        assert plan.effective_batch == 16
        changes.append(change)
    assert changes == [
        "micro-batch 3 -> 1",
        "loss computed in chunks",
        "activations recomputed in the backward pass",
        "checkpointed activations in host memory",
        "one row in each sequence",
    ]
    assert cheaper(replace(plan, packing=False), can_chunk=False, can_offload=False) is None


@pytest.mark.parametrize("error", OOM)
def test_what_out_of_memory_looks_like(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))


class Fault:
    """Fails the whole loss at chosen calls, while more than `room` sequences are in one pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, after: int = 0, *, in_training: bool = True) -> None:
        self.calls = 0
        self.rows: list[int] = []
        make = loss.whole

        def faulty(network: Any) -> loss.Loss:
            loss_of = make(network)

            def failing(batch: Batch) -> torch.Tensor:
                self.calls += 1
                if network.training == in_training and self.calls > after and len(batch.input_ids) > room:
                    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte")
                return loss_of(batch)

            return failing

        monkeypatch.setattr(loss, "whole", faulty)


@pytest.mark.parametrize("in_training", [True, False])
def test_out_of_memory_is_a_detour(
    in_training: bool, tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"packing": False, "micro_batch": 8, "save_every": 2}
    undisturbed = new_run(tiny_model, questions, "full", **settings)
    assert train(undisturbed) == "done"
    folder = new_run(tiny_model, questions, "full", **settings)
    fault = Fault(monkeypatch, room=2, after=3, in_training=in_training)
    assert train(folder) == "done", folder.log_file.read_text()
    assert fault.calls > 3
    assert [event["changed"] for event in events(folder, "replanned")] == [{"micro_batch": 4}, {"micro_batch": 2}]
    assert all("can't allocate memory" in event["text"] for event in events(folder, "oom"))
    assert list(losses(folder)) == list(range(1, 11)), "no step is lost and none repeated"
    assert losses(folder) == pytest.approx(losses(undisturbed), rel=1e-3)
    assert sum(x["tokens"] for x in events(folder, "step")) == sum(x["tokens"] for x in events(undisturbed, "step"))


def test_what_memory_forced_is_kept_when_resumed(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, "lora", packing=False, micro_batch=8, max_steps=4)
    predicted = Prediction(10**9, 10**9, 4 * 10**9, 1.0, 0.5, 2.0, 1000.0)
    folder = RunFolder.create(replace(folder.job(), predicted=predicted))
    Fault(monkeypatch, room=4)
    assert train(folder) == "done"
    assert json.loads(ran_out.file().read_text())["CPU"]["foreseen_bytes"] == 10**9, "later plans on this box know it"
    found, _ = newest(folder.checkpoints)
    assert found is not None and found.state()["progress"]["adjusted"] == {"micro_batch": 4}


def test_a_step_that_failed_inside_the_backward_pass_counts_once(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "optimizer_in_backward": True,
        "max_grad_norm": 0.0,
        "max_steps": 4,
        "schedule": "constant",
    }
    undisturbed = new_run(tiny_model, questions, "full", **settings)
    assert train(undisturbed) == "done"
    folder = new_run(tiny_model, questions, "full", **settings)
    step, calls = optimizers._step, []

    def failing(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 50:  # in the third step, when some parameters are updated and others are not
            raise torch.OutOfMemoryError("CUDA out of memory")
        step(*arguments)

    monkeypatch.setattr(optimizers, "_step", failing)
    assert train(folder) == "done"
    assert len(events(folder, "oom")) == 1
    assert len(calls) == 4 * 20 + 1
    # the step that was done again ran on half-updated parameters: nearly, not exactly, the same
    assert losses(folder) == pytest.approx(losses(undisturbed), rel=2e-2)


def test_a_float16_step_that_failed_between_scaling_and_update_is_done_again(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"precision": "float16", "max_steps": 4}
    undisturbed = new_run(tiny_model, questions, "lora", **settings)
    assert train(undisturbed) == "done"
    failing_times(monkeypatch, optimizers.AfterBackward, "_clipped_norm", 1, after=2)
    folder = new_run(tiny_model, questions, "lora", **settings)
    assert train(folder) == "done", folder.log_file.read_text()
    assert during(folder) == ["step 3"]
    assert losses(folder) == pytest.approx(losses(undisturbed), rel=1e-3)


def test_when_nothing_is_left_it_ends_with_a_checkpoint(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, "lora", packing=False, micro_batch=1, chunked_loss=True, checkpointing=True)
    calls: list[int] = []
    update = session.Session._update

    def failing(self: session.Session, number: int, *rest: Any) -> Any:
        calls.append(number)
        if number >= 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return update(self, number, *rest)

    monkeypatch.setattr(session.Session, "_update", failing)
    assert train(folder) == "failed"
    (end,) = events(folder, "run_finished")
    assert end["state"] == "failed" and end["step"] == 3
    assert end["error"].startswith("memory ran out in step 4 with the leanest settings; choose ")
    monkeypatch.undo()
    assert train(folder) == "done"
    assert calls == [0, 1, 2, 3]


def test_a_sample_without_memory_is_left_out(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> str:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sample, "answers", failing)
    folder = new_run(tiny_model, questions, "lora", max_steps=1)
    assert train(folder) == "done"
    assert not events(folder, "sample")
    assert [event["during"] for event in events(folder, "oom")] == ["the sample answers"] * 2
    assert "no memory was left for sample answers" in log_text(folder)


def test_a_sample_that_fails_is_left_out_and_training_goes_on(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> str:
        raise ValueError("this model's cache is of another kind\nand more")

    monkeypatch.setattr(sample, "answers", failing)
    folder = new_run(tiny_model, questions, "lora", max_steps=1)
    assert train(folder) == "done"
    assert not events(folder, "sample")
    assert not events(folder, "oom")
    said = "no sample answers: this model's cache is of another kind; training goes on without them"
    assert said in log_text(folder)
    assert "Traceback" in folder.log_file.read_text(), "the log file has the whole of it"


def not_finite(monkeypatch: pytest.MonkeyPatch, first: int, last: int) -> None:
    update = session.Session._update

    def broken(self: session.Session, number: int, *rest: Any) -> Any:
        make = self.loss_of
        if first <= number + 1 <= last:
            self.loss_of = lambda batch: make(batch) * float("inf")
        try:
            return update(self, number, *rest)
        finally:
            self.loss_of = make

    monkeypatch.setattr(session.Session, "_update", broken)


def test_a_step_that_is_not_finite_is_skipped_and_said(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, "full")
    not_finite(monkeypatch, 3, 6)
    assert train(folder) == "done"
    steps = events(folder, "step")
    assert [event["step"] for event in steps if event["loss"] is None] == [3, 4, 5, 6]
    assert "step 3 was skipped: its loss is not finite" in log_text(folder)
    assert losses(folder)[10] < losses(folder)[1]


def test_a_run_whose_steps_were_all_skipped_has_failed(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, "lora", max_steps=3)
    not_finite(monkeypatch, 1, 3)
    assert error_of(folder).startswith("all 3 steps were skipped, since no loss or gradient was finite: nothing was")
    assert not folder.result.exists()


def test_five_in_a_row_end_the_run_with_a_checkpoint(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, "lora")
    not_finite(monkeypatch, 3, 99)
    assert train(folder) == "failed"
    (end,) = events(folder, "run_finished")
    assert end["error"] == (
        "5 steps in a row had a loss that is not finite: "
        "the learning rate of 0.005 is probably too high; try a third of it"
    )
    assert events(folder, "checkpoint")[-1]["step"] == end["step"] == 7
    found, _ = newest(folder.checkpoints)
    assert found is not None and all(torch.isfinite(x).all() for x in found.weights().values())


def test_a_stop_that_finds_too_many_skipped_steps_still_leaves_a_checkpoint(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, steps are written about once a second: only the save after the stop finds that they were skipped."""
    folder = new_run(tiny_model, questions, save_every=100, eval_every=100)
    not_finite(monkeypatch, 3, 99)

    def add(self: journal.Journal, step: journal.StepRecord) -> None:
        self._steps.append(step)
        if step.number == 8:
            control.send(folder.commands_file, "stop")

    monkeypatch.setattr(journal.Journal, "add", add)
    assert error_of(folder).startswith("5 steps in a row")
    assert [event["step"] for event in events(folder, "checkpoint")] == [8]


def test_a_float16_step_that_overflows_is_done_again(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, "lora", precision="float16", max_steps=3)
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device: scaler(device, init_scale=2.0**30))
    assert train(folder) == "done"
    assert all(event["loss"] is not None for event in events(folder, "step"))
    found, _ = newest(folder.checkpoints)
    assert found is not None and found.state()["updater"]["scaler"]["scale"] < 2.0**30


def error_of(folder: RunFolder) -> str:
    assert train(folder) == "failed"
    (end,) = events(folder, "run_finished")
    assert end["state"] == "failed"
    assert [event["text"] for event in events(folder, "log") if event["level"] == "error"] == [end["error"]]
    assert "Traceback" in folder.log_file.read_text()
    return str(end["error"])


def test_data_that_is_not_there(tiny_model: Path, tmp_path: Path) -> None:
    assert "nowhere.jsonl" in error_of(new_run(tiny_model, tmp_path / "nowhere.jsonl"))


def test_a_folder_that_holds_no_weights(tiny_model: Path, questions: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    assert "no file named model.safetensors" in error_of(new_run(tmp_path, questions))


def failing_times(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, times: int, after: int = 0) -> None:
    """Let calls `after` to `after + times` of a function run out of memory."""
    original, calls = getattr(owner, name), []

    def failing(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if after < len(calls) <= after + times:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, failing)


def during(folder: RunFolder) -> list[str]:
    return [event["during"] for event in events(folder, "oom")]


def test_memory_that_is_short_when_states_come_back(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, "full", max_steps=4, save_every=2)
    with monkeypatch.context() as patch:
        failing_times(patch, session.Session, "step", 1, after=2)
        assert train(folder) == "failed"
    failing_times(monkeypatch, optimizers.AfterBackward, "load_state_dict", 1)
    assert train(folder) == "failed"
    assert during(folder) == ["getting ready for the first step"]
    assert "memory ran out before the first step" in events(folder, "run_finished")[-1]["error"]
    assert train(folder) == "done"


def test_memory_that_is_short_once_while_loading(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_times(monkeypatch, methods, "_network", 1)
    folder = new_run(tiny_model, questions, max_steps=1)
    assert train(folder) == "done"
    assert during(folder) == ["loading the model"] and not events(folder, "replanned")


def test_full_loads_16_bit_weights_where_32_do_not_fit(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_times(monkeypatch, methods, "_network", 2)
    folder = new_run(tiny_model, questions, "full", precision="bfloat16", max_steps=3)
    assert train(folder) == "done"
    assert during(folder) == ["loading the model"] * 2
    assert [event["changed"] for event in events(folder, "replanned")] == [{"weights_dtype": "bfloat16"}]
    found, _ = newest(folder.checkpoints)
    assert found is not None and {x.dtype for x in found.weights().values()} == {torch.bfloat16}
    assert found.state()["progress"]["adjusted"] == {"weights_dtype": "bfloat16"}


def test_memory_that_ends_while_loading(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_times(monkeypatch, methods, "_network", 2)
    assert "memory ran out while the model was loaded; choose " in error_of(new_run(tiny_model, questions))


def test_memory_that_is_short_while_a_checkpoint_is_written(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"save_every": 2, "max_steps": 6}
    undisturbed = new_run(tiny_model, questions, "lora", **settings)
    assert train(undisturbed) == "done"
    failing_times(monkeypatch, torch, "save", 3, after=1)  # twice at step 4, and once at step 6
    folder = new_run(tiny_model, questions, "lora", **settings)
    assert train(folder) == "done"
    assert during(folder) == ["the checkpoint"] * 3
    assert [event["step"] for event in events(folder, "checkpoint")] == [2, 6]
    assert "no memory was left to write the checkpoint of step 4; the one of step 2 is good" in log_text(folder)
    assert losses(folder) == losses(undisturbed)


def test_a_stop_whose_checkpoint_finds_no_memory_is_no_success(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions)
    monkeypatch.setattr(session.Session, "evaluate", lambda *_: control.send(folder.commands_file, "stop"))
    failing_times(monkeypatch, torch, "save", 2)
    assert error_of(folder) == "memory ran out while the last checkpoint was written; there is no checkpoint yet"


def test_memory_that_ends_while_the_result_is_saved(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_times(monkeypatch, methods, "save", 1)
    once = new_run(tiny_model, questions, max_steps=1)
    assert train(once) == "done" and during(once) == ["saving the result"]
    failing_times(monkeypatch, methods, "save", 2)
    folder = new_run(tiny_model, questions, max_steps=2)
    assert "of the checkpoints the one of step 2 is good" in error_of(folder)
    assert train(folder) == "done", "the next life only saves"
    assert len(events(folder, "step")) == 2


@pytest.mark.parametrize(
    ("method", "length", "expected"),
    [("lora", 4096, "a max_length of "), ("full", 256, "lora"), ("qlora", 128, "choose a smaller model")],
)
def test_what_would_fit(method: Method, length: int, expected: str, tmp_path: Path) -> None:
    sizes = {"vocab_size": 32000, "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 16}
    model = tmp_path / "model"
    model.mkdir()
    rest = {"intermediate_size": 8192, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 8192}
    text = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "tie_word_embeddings": False}
    (model / "config.json").write_text(json.dumps(text | sizes | rest))
    settings = Plan(method=method, max_length=length, quantization="nf4" if method == "qlora" else "none")
    job = Job(model=str(model), model_folder=str(model), data="", plan=settings, device="cuda", device_name="GPU")
    assert expected in would_fit(job, replace(settings, micro_batch=1, chunked_loss=True, checkpointing=True))


def test_a_run_that_another_process_trains_is_left_alone(tiny_model: Path, questions: Path) -> None:
    folder = new_run(tiny_model, questions)
    with folder.hold():
        assert train(folder) == "failed"
    assert not folder.events_file.exists()
    assert "is being trained by another process" in folder.log_file.read_text()


def test_free_is_safe_without_a_gpu() -> None:
    relief.free()
