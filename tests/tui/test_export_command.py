"""`fttui export`: which run it takes, what it refuses, what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.export import vllm
from backend.run.event_log import EventLog
from backend.run.events import RunFinished
from backend.run.folder import RunFolder
from tests.backend.run.test_folder import JOB
from tui.cli import run


def ended(state: str = "done", result: bool = True) -> RunFolder:
    folder = RunFolder.create(JOB)
    EventLog(folder.events_file).write(RunFinished(state=state))
    if result:
        folder.result.mkdir()
        (folder.result / "adapter_config.json").write_text("{}")
    return folder


def test_the_latest_run_with_a_result_is_exported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stopped = ended("stopped")
    ended("failed", result=False)
    ended("paused", result=False)
    RunFolder.create(JOB)
    assert run(["export", "--to", "vllm", "--out", str(tmp_path / "here")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(tmp_path / "here")
    assert said[1].startswith("next: vllm serve ") and stopped.name in said[1]
    assert (tmp_path / "here" / "serve.sh").is_file()


def test_by_default_it_is_in_the_runs_folder() -> None:
    folder = ended()
    assert run(["export", folder.name, "--to", "vllm"]) == 0
    assert (folder.path / "export" / "vllm" / "serve.sh").is_file()


@pytest.mark.parametrize(
    ("state", "result", "sentence"),
    [("paused", False, "has no result yet; `fttui resume"), ("done", False, "has no result any more; train it again")],
)
def test_a_run_without_a_result(state: str, result: bool, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ended(state, result)
    assert run(["export", folder.name, "--to", "vllm"]) == 2
    assert sentence in capsys.readouterr().err


def test_a_run_that_trains(capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(JOB)
    with folder.hold():
        assert run(["export", folder.name, "--to", "merged"]) == 2
    assert "is being trained now; export it when it has ended" in capsys.readouterr().err


def test_stopped_by_the_user(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    folder = ended()
    monkeypatch.setattr(vllm, "script", stop)
    assert run(["export", "--to", "vllm"]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not list((folder.path / "export").iterdir())


def test_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--to", "vllm"]) == 2
    assert "no run on this box has ended with a result yet" in capsys.readouterr().err
    assert run(["export", "--to", "gguff"]) == 2
    assert "gguff" in capsys.readouterr().err
    assert run(["export"]) == 2
    assert "--to" in capsys.readouterr().err
    folder = ended()
    (folder.path / "export" / "vllm").mkdir(parents=True)
    (folder.path / "export" / "vllm" / "serve.sh").write_text("mine")
    assert run(["export", "--to", "vllm"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (folder.path / "export" / "vllm" / "serve.sh").read_text() == "mine"
