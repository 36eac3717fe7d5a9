"""Forgetting is measured as defined, disturbs nothing, survives a resume, and ends a run at its limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from backend.answers import Method
from backend.data import general
from backend.data.general import Part
from backend.launch import launch
from backend.run import forgetting as words
from backend.run import history
from backend.run.control import Inbox
from backend.run.summary import summarise
from backend.training.forgetting import interval, kept, watch
from backend.training.forgetting.measure import Forgetting
from backend.training.forgetting.tokens import adapters_off
from backend.training.parallel.execution import Execution
from backend.training.train import train
from tests.backend.training.helpers import ALL, events, loaded, log_text, losses, new_run, plan, random_rows
from tests.backend.training.test_resume import Killed, assert_equal_runs, finish, on_step

SETTINGS: dict[str, Any] = {"measure_forgetting": True, "dropout": 0.1, "save_every": 2, "eval_every": 3}


@pytest.fixture
def own_set(tmp_path: Path) -> Path:
    """Twelve short texts, as a user's own general set."""
    path = tmp_path / "general.jsonl"
    texts = [f"The {word} of the old house stood open, and nobody knew for how long it had." for word in WORDS]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


WORDS = ("door", "gate", "window", "cellar", "attic", "barn", "stable", "kitchen", "pantry", "hall", "porch", "loft")


def part_of(rows: list[Any], name: str = "some") -> Part:
    return Part(name, tuple(rows), tuple(range(len(rows))))


def by_hand(network: Any, rows: list[Any]) -> torch.Tensor:
    """Log-probabilities of every target position of all rows, one row at a time."""
    found = []
    for ids, scored in rows:
        logits = network(input_ids=torch.from_numpy(ids.astype(np.int64))[None], use_cache=False).logits[0].float()
        found.append(functional.log_softmax(logits[np.flatnonzero(scored[1:])], dim=1))
    return torch.cat(found)


def targets_of(rows: list[Any]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([ids[1:][scored[1:]] for ids, scored in rows]).astype(np.int64))[:, None]


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("packing", [True, False])
def test_with_adapters_the_base_is_the_model_without_them(method: Method, packing: bool, tiny_model: Path) -> None:
    settings = plan(method, packing=packing)
    it, rows = loaded(tiny_model, settings), random_rows(12)
    (event,) = (
        Forgetting((part_of(rows),), it, Execution(settings, "cpu")).measure(
            4, Execution(settings, "cpu"), lambda: False, final=True
        )
        or []
    )
    assert all(p.requires_grad for p in it.trainable().values()) and it.network.training
    with torch.no_grad():
        it.network.eval()
        now = by_hand(it.network, rows)
        with adapters_off(it.network):
            base = by_hand(it.network, rows)
    targets = targets_of(rows)
    assert event.tokens == len(targets) and event.examples == 12 and event.step == 4
    assert event.loss == pytest.approx(float(-now.gather(1, targets).mean()), rel=1e-5)
    assert event.base_loss == pytest.approx(float(-base.gather(1, targets).mean()), rel=1e-5)
    assert event.kl == pytest.approx(float((base.exp() * (base - now)).sum(dim=1).mean()), rel=1e-3)
    assert event.kl is not None and event.kl > 1e-4, "the adapters of this test change something"


def test_full_fine_tuning_is_compared_with_what_the_base_predicted(tiny_model: Path, tmp_path: Path) -> None:
    settings = plan("full")
    execution, rows = Execution(settings, "cpu"), random_rows(12)
    it = loaded(tiny_model, settings)
    parts = (part_of(rows),)
    first = Forgetting(parts, it, execution)
    first.take_base(execution)
    kept.write(tmp_path, first.base, parts)
    with torch.no_grad():
        base = by_hand(it.network.eval(), rows)
        for parameter in it.trainable().values():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        now = by_hand(it.network.eval(), rows)
    later = Forgetting(parts, it, execution)
    later.use_base(kept.read(tmp_path, parts))
    (event,) = later.measure(9, execution, lambda: False, final=True) or []
    targets = targets_of(rows)
    top = base.topk(64, dim=1)
    p, q = top.values.exp(), now.gather(1, top.indices).exp()
    rest_p, rest_q = 1 - p.sum(dim=1), 1 - q.sum(dim=1)
    expected = (p * (p / q).log()).sum(dim=1) + rest_p * (rest_p / rest_q).log()
    whole = (base.exp() * (base - now)).sum(dim=1)
    assert event.kl == pytest.approx(float(expected.mean()), rel=1e-3)
    assert event.kl is not None and 0 < event.kl <= float(whole.mean()) * 1.001, "a lower bound"
    assert event.loss == pytest.approx(float(-now.gather(1, targets).mean()), rel=1e-5)
    assert event.base_loss == pytest.approx(float(-base.gather(1, targets).mean()), rel=1e-5)
    other = (part_of(random_rows(12, seed=5)),)
    assert kept.read(tmp_path, other) is None, "it is of another text"
    (tmp_path / kept.FILE).write_bytes(b"\xff" * 100)
    assert kept.read(tmp_path, parts) is None


@pytest.mark.parametrize("method", ALL)
def test_the_losses_are_those_of_a_run_without_it(
    method: Method, tiny_model: Path, questions: Path, own_set: Path
) -> None:
    without = finish(new_run(tiny_model, questions, method, **{**SETTINGS, "measure_forgetting": False}))
    folder = new_run(tiny_model, questions, method, general_data=str(own_set), **SETTINGS)
    assert_equal_runs(finish(folder), without)
    measured = events(folder, "forgetting")
    assert [event["step"] for event in measured] == [0, 3, 6, 9, 10, 10]
    assert [event["final"] for event in measured] == [False] * 5 + [True]
    first, last = measured[0], measured[-1]
    assert first["loss"] == pytest.approx(first["base_loss"], rel=1e-5) and abs(first["kl"]) < 1e-5
    assert last["kl"] > 1e-3 and last["part"] == general.OWN and last["examples"] == 12
    assert last["low"] <= last["loss"] / last["base_loss"] - 1 <= last["high"]
    seen = summarise(folder)
    assert seen.forgetting == words.sentence(words.latest(history.read(folder.events_file).forgetting))
    assert f"forgetting of what is saved: {seen.forgetting}" in log_text(folder)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_killed_and_resumed_it_measures_the_same(
    method: Method, tiny_model: Path, questions: Path, own_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "general_data": str(own_set)}
    whole = new_run(tiny_model, questions, method, **settings)
    undisturbed = finish(whole)
    folder = new_run(tiny_model, questions, method, **settings)

    def die() -> None:
        raise Killed

    on_step(monkeypatch, 7, die)
    with pytest.raises(Killed):
        train(folder)
    assert_equal_runs(finish(folder), undisturbed)

    def figures(run: Any) -> list[Any]:
        read = history.read(run.events_file).forgetting
        return [replace_t(event) for event in read]

    assert figures(folder) == figures(whole)


def replace_t(event: Any) -> tuple[Any, ...]:
    return tuple(getattr(event, name) for name in event.__struct_fields__ if name != "t")


def test_a_run_ends_when_it_forgets_more_than_it_may(
    tiny_model: Path, questions: Path, own_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Forgetting.measure

    def worse(self: Forgetting, step: int, *rest: Any, **final: Any) -> Any:
        (event,) = measure(self, step, *rest, **final) or []
        return [replace_field(event, loss=(event.base_loss or 0) * (1 + 0.02 * step))]

    monkeypatch.setattr(Forgetting, "measure", worse)
    folder = new_run(tiny_model, questions, max_forgetting=0.1, general_data=str(own_set), **SETTINGS)
    assert train(folder) == "done"
    (end,) = events(folder, "run_finished")
    assert (end["step"], end["result_step"]) == (6, 3), "the best evaluation within the limit"
    assert "has risen by 12.0 % from the base model's, more than max_forgetting allows (10 %)" in end["reason"]
    assert train(folder) == "done", "a resume does not train on"
    assert losses(folder).keys() == {1, 2, 3, 4, 5, 6}


def test_without_memory_for_it_the_run_goes_on(
    tiny_model: Path, questions: Path, own_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError("no")

    monkeypatch.setattr(Forgetting, "measure", full)
    folder = new_run(tiny_model, questions, general_data=str(own_set), **SETTINGS)
    assert train(folder) == "done"
    assert not events(folder, "forgetting")
    assert "forgetting is not measured any more: no memory is left for it" in log_text(folder)
    assert [event["during"] for event in events(folder, "oom")] == [watch.FORGETTING]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_ranks_measure_what_one_does(method: Method, tiny_model: Path, questions: Path, own_set: Path) -> None:
    found = []
    for processes in (1, 2):
        settings = {**SETTINGS, "dropout": 0.0, "general_data": str(own_set), "max_steps": 3}
        folder = new_run(tiny_model, questions, method, processes=processes, **settings)
        assert launch.train(folder, Inbox(folder.commands_file)) == "done", log_text(folder)
        found.append([(x["step"], x["loss"], x["base_loss"], x["kl"]) for x in events(folder, "forgetting")])
    assert len(found[0]) == len(found[1]) == 3
    assert np.allclose(found[0], found[1], rtol=1e-3, atol=1e-5)


def test_the_set_that_ships_is_read_and_each_part_has_its_licence(tiny_model: Path) -> None:
    from backend import constants, paths

    found = general.parts("", tiny_model, 512)
    shipped = constants.general().part
    assert [part.name for part in found] == [part.name for part in shipped]
    assert all(part.licence and len(part.source) > 20 for part in shipped)
    assert all(len(set(part.examples)) >= 20 for part in found)
    folder = paths.SHIPPED / "general"
    assert {part.file for part in shipped} == {path.name for path in folder.glob("*.jsonl")}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 300_000
    demo = (paths.SHIPPED / "demo" / "gsm8k.jsonl").read_text()
    rows = [json.loads(line) for line in (folder / "reasoning.jsonl").read_text().splitlines()]
    assert not [row for row in rows if row["question"][:60] in demo], "the demo trains on it"


def test_the_interval_holds_the_change_and_few_examples_are_not_enough() -> None:
    draw = np.random.default_rng(3)
    base = draw.uniform(50, 150, 40)
    now = base * draw.normal(1.02, 0.01, 40)
    low, high = interval.of_change(now, base, np.arange(40)) or (0.0, 0.0)
    assert low < now.sum() / base.sum() - 1 < high and low > 0.01 and high < 0.03
    assert interval.of_change(now[:5], base[:5], np.arange(5)) is None
    assert interval.of_change(now, base, np.arange(40) // 10) is None, "forty rows of four texts"


def test_what_was_forgotten_in_words() -> None:
    from backend.run.events import ForgettingMeasured

    sure = ForgettingMeasured(part="prose", loss=2.04, base_loss=2.0, kl=0.03, low=0.01, high=0.03, tokens=300)
    other = replace_field(sure, part="code", loss=1.0, base_loss=1.001, kl=0.01, tokens=100)
    assert words.sentence([sure, other]) == "prose +2.0 %, code -0.1 %, KL 0.025: moderate"
    unsure = replace_field(sure, low=-0.2, high=0.2)
    assert words.sentence([unsure]) == "prose +2.0 % (too few examples), KL 0.030: insufficient evidence"
    assert words.sentence([]) == ""
    assert words.verdict([replace_field(sure, loss=2.5)]) == "severe"


def replace_field(event: Any, **changes: Any) -> Any:
    from msgspec.structs import replace as changed

    return changed(event, **changes)


def test_general_rows_are_learned_and_the_others_measured(tiny_model: Path, questions: Path, own_set: Path) -> None:
    settings = {**SETTINGS, "general_data": str(own_set), "replay_fraction": 0.2, "epochs": 1}
    folder = new_run(tiny_model, questions, **settings)
    assert train(folder) == "done", folder.log_file.read_text()
    started = events(folder, "run_started")[-1]
    assert started["train_rows"] == 45 and started["total_steps"] == 6, "36 rows and 9 general ones"
    assert {event["examples"] for event in events(folder, "forgetting")} == {6}
