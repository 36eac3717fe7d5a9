"""DPO and KTO: the losses and gradients of their definitions, whole runs, and what can't be trained."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from backend.answers import Method
from backend.data.preferences import Preference, prepare_preferences
from backend.errors import UserError
from backend.training import methods
from backend.training.forgetting.tokens import adapters_off
from backend.training.parallel.execution import Execution
from backend.training.preference import PreferenceLoss, preference_batches
from backend.training.train import train
from tests.backend.training.helpers import assert_same, events, loaded, marked, new_run, plan, some_pairs
from tests.backend.training.test_resume import Killed, assert_equal_runs, finish, on_step

BETA = 0.3


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"What is {a} + {b}?", "chosen": f"It is {a + b}.", "rejected": f"I do not know {a}."}
        for a in range(6)
        for b in range(7)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def marked_file(tmp_path: Path) -> Path:
    path = tmp_path / "marked.jsonl"
    rows = [
        {
            "prompt": f"What is {a} + {b}?",
            "completion": f"It is {a + b}." if b % 2 else f"I do not know {a}.",
            "label": b % 2 == 1,
        }
        for a in range(6)
        for b in range(7)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def likelihood(network: Any, row: Any) -> Tensor:
    """Log-likelihood of a row's target tokens, by the model's own logits of this row alone."""
    ids = torch.from_numpy(row[0].astype(np.int64))
    found = functional.log_softmax(network(input_ids=ids[None], use_cache=False).logits[0].float(), dim=1)
    at = torch.from_numpy(np.flatnonzero(row[1][1:]))
    return found[at, ids[at + 1]].sum()


def ratio(network: Any, row: Any) -> Tensor:
    with torch.no_grad(), adapters_off(network):
        base = likelihood(network, row)
    return likelihood(network, row) - base


def dpo_by_hand(network: Any, rows: list[Preference]) -> Tensor:
    losses = []
    for row in rows:
        margin = ratio(network, row.rows[0]) - ratio(network, row.rows[1])
        losses.append(-torch.log(torch.sigmoid(BETA * margin)))
    return torch.stack(losses).mean()


def kto_by_hand(network: Any, rows: list[Preference]) -> Tensor:
    with torch.no_grad():
        moved = []
        for at, row in enumerate(rows):
            answer, prompt = rows[at - 1].rows[0], row.rows[0]
            start, other = int(prompt[1].argmax()), int(answer[1].argmax())
            ids = np.concatenate([prompt[0][:start], answer[0][other:]])
            moved.append(ratio(network, (ids, np.arange(len(ids)) >= start)))
        kl = torch.stack(moved).mean().clamp(min=0)
    losses = []
    for row in rows:
        reward = ratio(network, row.rows[0])
        losses.append(1 - torch.sigmoid(BETA * (reward - kl if row.good else kl - reward)))
    return torch.stack(losses).mean()


def gradients_of(it: methods.Loaded, loss: Callable[[], Tensor]) -> tuple[float, dict[str, Tensor]]:
    it.model.zero_grad()
    value = loss()
    if value.requires_grad:
        value.backward()  # type: ignore[no-untyped-call]
    return float(value), {name: p.grad.clone() for name, p in it.trainable().items() if p.grad is not None}


@pytest.mark.parametrize("objective", ["dpo", "kto"])
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("lora", {"micro_batch": 6}),
        ("lora", {"micro_batch": 2, "chunked_loss": True}),
        ("lora", {"micro_batch": 1, "checkpointing": True}),
        ("qlora", {"micro_batch": 4}),
    ],
)
def test_loss_and_gradients_are_those_of_the_definition(
    objective: Any, method: Method, settings: dict[str, Any], tiny_model: Path
) -> None:
    chosen = plan(method, objective=objective, preference_beta=BETA, packing=False, **settings)
    it, rows, execution = loaded(tiny_model, chosen), some_pairs(), Execution(chosen, "cpu")
    if objective == "kto":
        rows = marked(rows)
    loss_of = PreferenceLoss(it.network, execution)

    def ours() -> Tensor:
        batches = preference_batches(rows, execution)
        loss_of.begin(batches)
        total = torch.zeros(())
        for batch in batches:
            part = loss_of(batch) / len(rows)
            part.backward()  # type: ignore[no-untyped-call]
            total += part.detach()
        return total

    theirs = gradients_of(it, lambda: (dpo_by_hand if objective == "dpo" else kto_by_hand)(it.network, rows))
    mine = gradients_of(it, ours)
    assert mine[0] == pytest.approx(theirs[0], rel=1e-5)
    assert_same(mine[1], theirs[1], 2e-4)
    assert abs(theirs[0] - (0.6931 if objective == "dpo" else 0.5)) > 1e-4, "the adapters have moved the model"


def test_the_models_own_dropout_is_off(tiny_model: Path, tmp_path: Path) -> None:
    """As in TRL: with dropout, the reference would differ at every step, and from adapters that change nothing yet."""
    folder = tmp_path / "drops"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.5}))
    chosen = plan("lora", objective="dpo", packing=False)
    it, execution = methods.load(folder, str(folder), Execution(chosen, "cpu")), Execution(chosen, "cpu")
    assert it.network.training and not methods.drops(it.network, chosen)
    (batch, *_) = preference_batches(some_pairs(), execution)
    assert float(PreferenceLoss(it.network, execution)(batch)) == pytest.approx(batch.scored * math.log(2), rel=1e-6)
    sft = plan("lora")
    assert methods.drops(methods.load(folder, str(folder), Execution(sft, "cpu")).network, sft)


def test_margins_and_the_right_side_are_of_evaluations(tiny_model: Path) -> None:
    chosen = plan("lora", objective="dpo", preference_beta=BETA, packing=False)
    it, rows, execution = loaded(tiny_model, chosen), some_pairs(), Execution(chosen, "cpu")
    loss_of = PreferenceLoss(it.network, execution)
    it.network.eval()
    with torch.no_grad():
        for batch in preference_batches(rows, execution):
            loss_of(batch)
        gaps = [BETA * float(ratio(it.network, row.rows[0]) - ratio(it.network, row.rows[1])) for row in rows]
    margin, right = loss_of.rewards() or (0.0, 0.0)
    assert margin == pytest.approx(np.mean(gaps), rel=1e-4)
    assert right == pytest.approx(np.mean([gap > 0 for gap in gaps]))
    assert loss_of.rewards() is None


def test_a_marked_answer_alone_is_not_compared_with_itself(tiny_model: Path) -> None:
    """One held-out row, or the last of an epoch: its loss would be 0.5 for every model that likes it more."""
    chosen = plan("lora", objective="kto", preference_beta=BETA, packing=False)
    it, execution = loaded(tiny_model, chosen), Execution(chosen, "cpu")
    it.network.eval()
    loss_of, rows = PreferenceLoss(it.network, execution), marked(some_pairs())
    loss_of.begin(preference_batches(rows, execution))
    for row in rows:
        (batch,) = preference_batches([row], execution)
        with torch.no_grad():
            loss_of.begin([batch])
            reward = BETA * float(ratio(it.network, row.rows[0])) * (1 if row.good else -1)
            assert float(loss_of(batch)) == pytest.approx(1 / (1 + math.exp(reward)), rel=1e-4)


SETTINGS: dict[str, Any] = {"packing": False, "dropout": 0.1, "save_every": 2, "eval_every": 3, "max_steps": 10}


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_dpo_learns_which_answer_is_better(method: Method, tiny_model: Path, pairs_file: Path) -> None:
    folder = new_run(tiny_model, pairs_file, method, objective="dpo", **SETTINGS)
    assert train(folder) == "done"
    first, *_, last = events(folder, "eval")
    assert first["loss"] == pytest.approx(0.6931, abs=1e-3) and first["reward_margin"] == pytest.approx(0, abs=1e-5)
    assert last["loss"] < 0.5 and last["reward_accuracy"] > 0.9 and last["reward_margin"] > 0.5
    assert first["perplexity"] is None
    started = events(folder, "run_started")[-1]
    assert started["train_rows"] + started["eval_rows"] == 42
    assert not [x for x in events(folder, "finding") if "not used" in x["text"]]


def test_kto_learns_which_answers_are_good(tiny_model: Path, marked_file: Path) -> None:
    folder = new_run(tiny_model, marked_file, "lora", objective="kto", **SETTINGS)
    assert train(folder) == "done"
    first, *_, last = events(folder, "eval")
    assert first["loss"] == pytest.approx(0.5, abs=1e-3)
    assert last["loss"] < 0.48 and last["reward_margin"] > 0 and 0 <= last["reward_accuracy"] <= 1
    started = events(folder, "run_started")[-1]
    assert started["train_rows"] + started["eval_rows"] == 42, "bad answers are learned from too"


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_a_killed_run_is_resumed_exactly(
    objective: str, tiny_model: Path, pairs_file: Path, marked_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pairs_file if objective == "dpo" else marked_file
    undisturbed = finish(new_run(tiny_model, data, "lora", objective=objective, **SETTINGS))
    folder = new_run(tiny_model, data, "lora", objective=objective, **SETTINGS)

    def die() -> None:
        raise Killed

    on_step(monkeypatch, 7, die)
    with pytest.raises(Killed):
        train(folder)
    assert_equal_runs(finish(folder), undisturbed)


def prepared(kind: Any, data: Path, model: Path) -> Any:
    return prepare_preferences(kind, str(data), (), model, 128, 0.1, 0)


def test_pairs_are_of_one_prompt_and_differ_after_it(tiny_model: Path, pairs_file: Path) -> None:
    with pairs_file.open("a") as file:
        file.write(json.dumps({"prompt": "Same?", "chosen": "Yes.", "rejected": "Yes."}) + "\n")
        file.write(json.dumps({"prompt": "Half?", "chosen": "Yes.", "rejected": ""}) + "\n")
    found = prepared("dpo", pairs_file, tiny_model)
    assert len(found.train) + len(found.held_out) == 42 and found.dropped == 2
    for at in range(len(found.train)):
        (better, worse), good = found.train[at]
        start = int(better[1].argmax())
        assert good is None and start == int(worse[1].argmax())
        assert np.array_equal(better[0][:start], worse[0][:start])
        assert not np.array_equal(better[0], worse[0])


def test_conversations_as_pairs(tiny_model: Path, tmp_path: Path) -> None:
    def talk(*texts: str) -> list[dict[str, str]]:
        return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]

    rows = [
        {"chosen": talk("Hi", "Hello", f"{i}?", f"Yes, {i}."), "rejected": talk("Hi", "Hello", f"{i}?", "No.")}
        for i in range(30)
    ]
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = prepared("dpo", path, tiny_model)
    (better, worse), _ = found.train[0]
    start = int(better[1].argmax())
    assert np.array_equal(better[0][:start], worse[0][:start]), "the earlier answer belongs to the prompt"


@pytest.mark.parametrize(
    ("kind", "rows", "sentence"),
    [
        ("dpo", {"prompt": "a", "completion": "b"}, "dpo needs a better and a worse answer in each row"),
        ("kto", {"prompt": "a", "completion": "b"}, "kto needs a column of true and false"),
        ("kto", {"prompt": "a", "completion": "b", "label": True}, "has one kind only"),
        ("dpo", {"prompt": "a", "chosen": "b", "rejected": "b"}, "has two different answers"),
    ],
)
def test_data_that_has_no_preferences_is_refused(
    kind: str, rows: dict[str, Any], sentence: str, tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps(rows) + "\n") * 20)
    with pytest.raises(UserError, match=sentence) as refused:
        prepared(kind, path, tiny_model)
    assert refused.value.field == "objective"


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_what_answers_are_compared_by_is_of_the_data_too(
    objective: str, tiny_model: Path, pairs_file: Path, marked_file: Path
) -> None:
    """The rejected answers of pairs, and the marks: a run resumed with others is not the same run."""
    data = pairs_file if objective == "dpo" else marked_file
    first = prepared(objective, data, tiny_model).fingerprint
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    other = [x | ({"rejected": "Never."} if objective == "dpo" else {"label": not x["label"]}) for x in rows]
    data.write_text("".join(json.dumps(row) + "\n" for row in other))
    assert prepared(objective, data, tiny_model).fingerprint != first
