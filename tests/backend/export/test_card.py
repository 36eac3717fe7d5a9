"""The model card: its picture of the losses, and what the base's licence asks."""

from __future__ import annotations

import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

from backend.export import card, curve, licence
from backend.model.known import models
from backend.run.event_log import EventLog
from backend.run.events import ForgettingMeasured, RunFinished, StepDone, TaskScored
from backend.run.history import History
from tests.backend.export.helpers import found, without_result


def text(**job: str) -> str:
    folder = without_result(Path("/models/base"), job=job)
    folder.result.mkdir()
    (folder.result / "adapter_config.json").write_text("{}")
    return card.markdown(found(folder), "")


def test_what_a_known_licence_asks() -> None:
    said = text(hub_id="meta-llama/Llama-3.1-8B-Instruct")
    assert "license: llama3.1\n" in said
    assert 'show "Built with Llama", begin the model\'s name with "Llama"' in said
    assert "https://www.llama.com/llama3_1/license/" in said


def test_a_licence_that_the_hub_has_no_name_for() -> None:
    said = text(hub_id="Qwen/Qwen2.5-3B")
    assert 'license: other\nlicense_name: "qwen-research (not for commercial use)"' in said
    assert "Not for commercial use" in said


def test_the_bases_own_card_is_read(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "---\nlanguage: en\nlicense: other\nlicense_name: house-licence\n---\nlicense: mit"
    )
    said = text(model=str(tmp_path), model_folder=str(tmp_path))
    assert 'license_name: "house-licence"' in said and "What it asks is not listed here; read it" in said


def test_an_unknown_licence_is_said_to_be_unknown() -> None:
    said = text(model="/models/base", model_folder="/models/base")
    assert "license:" not in said and "The base's licence is not known here" in said


def test_every_licence_of_the_shipped_models_is_known() -> None:
    assert not [x.license for x in models() if licence.terms(x.license) is None]


@pytest.mark.parametrize(("name", "hub"), [("llama3.2 community", "llama3.2"), ("llama3", "llama3"), ("MIT", "mit")])
def test_the_first_that_matches(name: str, hub: str) -> None:
    found = licence.terms(name)
    assert found is not None and found.hub == hub


def test_the_picture_has_every_loss(tmp_path: Path) -> None:
    folder = without_result(Path("/models/base"))
    log = EventLog(folder.events_file)
    log.write(StepDone(step=11, total_steps=11, loss=float("nan")))
    log.close()
    folder.result.mkdir()
    (folder.result / "adapter_config.json").write_text("{}")
    source = found(folder)
    card.write(source, "", tmp_path)
    tree = Xml.fromstring((tmp_path / curve.FILE).read_text())
    line = next(x for x in tree if x.tag.endswith("polyline"))
    assert len(line.attrib["points"].split()) == 10 and "nan" not in line.attrib["points"]
    dots = [(float(x.attrib["cx"]), float(x.attrib["cy"])) for x in tree if x.tag.endswith("circle")]
    assert len(dots) == 2 and dots[0][1] < dots[1][1]  # the held-out loss fell
    assert f"]({curve.FILE})" in (tmp_path / card.FILE).read_text()


def test_the_card_says_which_step_it_is_and_what_was_forgotten(tmp_path: Path) -> None:
    past = History(tmp_path / "events.jsonl")
    log = EventLog(tmp_path / "events.jsonl")
    log.write(ForgettingMeasured(step=4, part="prose", loss=3.0, base_loss=2.0, kl=1.0, tokens=9))
    log.write(
        ForgettingMeasured(
            step=9, part="code|x", loss=1.02, base_loss=1.0, kl=0.01, low=0.01, high=0.03, tokens=9, final=True
        )
    )
    log.write(TaskScored(step=9, name="number", score=0.5, low=0.4, high=0.6, rows=50))
    log.write(RunFinished(state="done", step=12, result_step=9, result="x"))
    past.poll()
    text = "\n".join(card._measured(past))
    assert "the weights of step 9, where the held-out loss was lowest" in text
    assert "+2.0 %, KL 0.010: low." in text and "prose" not in text
    assert "number: 50 % of 50 right (40 to 60 %)" in text


def test_a_card_does_not_give_the_base_models_score_as_the_models(tmp_path: Path) -> None:
    past = History(tmp_path / "events.jsonl")
    log = EventLog(tmp_path / "events.jsonl")
    log.write(TaskScored(step=0, name="number", score=0.5, low=0.4, high=0.6, rows=50))
    log.write(RunFinished(state="stopped", step=3, result_step=3, result="x"))
    past.poll()
    assert [x for x in card._measured(past) if x] == ["The quality of its answers was not measured otherwise."]


def test_a_card_says_what_was_learned() -> None:
    folder = without_result(Path("/models/base"), objective="dpo", preference_beta=0.3)
    folder.result.mkdir()
    (folder.result / "adapter_config.json").write_text("{}")
    said = card.markdown(found(folder), "")
    assert "- dpo\n" in said and "- sft" not in said and "| objective | dpo |" in said
    assert "- sft\n" in text() and "objective" not in text()
