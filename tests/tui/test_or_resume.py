"""`fttui train --or-resume`: the same command, started repeatedly, resumes its own run and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.answers import Answers
from backend.launch import launch
from backend.run.event_log import EventLog
from backend.run.events import RunFinished, RunStarted
from backend.run.folder import RunFolder, all_runs
from tests.backend.run.test_folder import JOB
from tui import headless
from tui.commands import train


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs that would be trained, in order; nothing really trains."""
    names: list[str] = []

    def run(folder: RunFolder, **options: Any) -> int:
        assert options["may_go_on"]
        names.append(folder.name)
        return 0

    monkeypatch.setattr(headless, "run", run)
    return names


def begun(state: str | None, **changes: Any) -> RunFolder:
    folder = RunFolder.create(replace(JOB, mapping=(), output=None, **changes))
    log = EventLog(folder.events_file)
    log.write(RunStarted())
    if state:
        log.write(RunFinished(state=state))
    log.close()
    return folder


def started(model: str, data: str) -> int:
    return train.train(answers=Answers(model=model, data=data), or_resume=True)


@pytest.mark.parametrize("state", [None, "stopped", "failed"])
def test_its_own_run_goes_on(state: str | None, resumed: list[str], fttui_home: Path) -> None:
    own = begun(state, model="org/m", data="/d/rows.jsonl")
    begun(None, model="org/m", data="/d/others.jsonl")
    assert started("org/m", "/d/rows.jsonl") == 0
    assert resumed == [own.name]


def test_one_that_is_done_stays_done(resumed: list[str], fttui_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = begun("done", model="org/m", data="org/d")
    assert started("org/m", "org/d") == 0
    assert resumed == [] and f"run {own.name} is done" in capsys.readouterr().out
    assert train.train(answers=Answers(model="org/m", data="org/d"), or_resume=True, json=True) == 0
    assert capsys.readouterr().out == "", "a reader of JSON lines meets nothing else"


def test_another_command_s_run_is_left_alone(
    resumed: list[str], fttui_home: Path, tiny_model: Path, questions: Path
) -> None:
    other = begun(None, model=str(tiny_model), data="/d/others.jsonl")
    assert started(str(tiny_model), str(questions)) == 0
    assert resumed and resumed != [other.name] and len(all_runs()) == 2
    assert started(str(tiny_model), str(questions)) == 0
    assert resumed[0] == resumed[1] and len(all_runs()) == 2


def test_a_preset_with_other_settings_is_another_run(
    resumed: list[str], fttui_home: Path, tiny_model: Path, questions: Path, tmp_path: Path
) -> None:
    file = tmp_path / "launch.toml"
    where = Answers(model=str(tiny_model), data=str(questions))
    for rank in (4, 8, 4):
        file.write_text(f'method = "lora"\nrank = {rank}\n')
        assert train.train(str(file), answers=where, or_resume=True) == 0
    assert len(all_runs()) == 2 and resumed[0] == resumed[2] != resumed[1]


@pytest.mark.parametrize(
    "other",
    [
        {"method": "full"},
        {"answers": {"set": ("rank=4",)}},
        {"answers": {"epochs": 1.0}},
        {"answers": {"mapping": ("prompt=question",)}},
        {"answers": {"output": "elsewhere"}},
    ],
)
def test_another_method_or_setting_is_another_run(
    other: dict[str, Any], resumed: list[str], fttui_home: Path, tiny_model: Path, questions: Path
) -> None:
    """It would be called done, and never be trained."""
    done = begun("done", model=str(tiny_model), data=str(questions))
    where = {"model": str(tiny_model), "data": str(questions)}
    method, answers = other.get("method"), Answers(**where | other.get("answers", {}))
    for _ in range(2):
        assert train.train(method=method, answers=answers, or_resume=True, anyway=True) == 0
    assert len(all_runs()) == 2 and resumed[0] == resumed[1] != done.name


def test_a_preset_whose_method_or_general_text_the_command_overrides_goes_on(
    resumed: list[str], fttui_home: Path, tiny_model: Path, questions: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    file = tmp_path / "launch.toml"
    file.write_text('method = "qlora"\ngeneral_data = ""\n')
    (tmp_path / "general.txt").write_text("Some text.\n" * 200)
    monkeypatch.chdir(tmp_path)
    where = Answers(model=str(tiny_model), data=str(questions), set=("general_data=general.txt",))
    for _ in range(2):
        assert train.train(str(file), method="lora", answers=where, or_resume=True) == 0
    assert len(all_runs()) == 1


def test_what_the_command_sets_counts_more_than_the_preset(
    resumed: list[str], fttui_home: Path, tiny_model: Path, questions: Path, tmp_path: Path
) -> None:
    file = tmp_path / "qlora.toml"
    file.write_text('method = "qlora"\n')
    where = Answers(model=str(tiny_model), data=str(questions), set=("method=full",))
    assert train.train(str(file), answers=where, anyway=True, or_resume=True) == 0
    assert all_runs()[0].job().plan.method == "full"


class Ended:
    """A trainer that has ended."""

    state = "stopped"

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def stop(self) -> None: ...
    def is_alive(self) -> bool:
        return False

    def join(self) -> None: ...
    def unsaid(self) -> str:
        return ""


@pytest.mark.parametrize(("signals", "may_go_on", "code"), [([15], True, 75), ([], True, 130), ([15], False, 130)])
def test_only_a_signal_asks_for_another_start(
    signals: list[int], may_go_on: bool, code: int, fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fttui stop` ends the job for good."""
    monkeypatch.setattr(launch, "start", Ended)
    monkeypatch.setattr(headless, "_stop_on_signals", lambda _: signals)
    monkeypatch.setattr(headless, "_keep_streams", lambda _: (print, print))
    folder = RunFolder.create(JOB)
    assert headless.run(folder, as_json=True, may_go_on=may_go_on) == code
