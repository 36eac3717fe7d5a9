"""A trainer that can't be imported: one sentence in the run's events, exit code 4, from every way to start it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backend.launch import several
from backend.run import history
from backend.run.event_log import EventTail
from backend.run.events import Logged, RunFinished
from backend.run.folder import RunFolder, all_runs
from backend.training.failure import sentence
from tests.backend.run.test_folder import JOB

ROOT = Path(__file__).parents[3]
CAUSE = "libcudart.so.12: cannot open shared object file"
SENTENCE = (
    f"a library that training needs can't be imported ({CAUSE}); "
    "`fttui doctor` looks for what is missing and says what to install"
)


@pytest.fixture(params=["ImportError", "OSError", "RuntimeError"])
def broken_torch(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started from now on find a torch that can't be imported."""
    package = tmp_path / "broken" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise {request.param}({CAUSE!r})\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), str(ROOT)]))


def ended(folder: RunFolder) -> None:
    """The run says how it ended, once."""
    past = history.read(folder.events_file)
    assert past.finished is not None
    assert (past.state, past.finished.error) == ("failed", SENTENCE)
    assert [type(event) for event in EventTail(folder.events_file).events()] == [Logged, RunFinished]
    assert CAUSE in folder.log_file.read_text() and "Traceback" in folder.log_file.read_text()
    assert not folder.is_alive()


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_headless(broken_torch: None, fttui_home: Path, tiny_model: Path, questions: Path) -> None:
    job = ["--model", str(tiny_model), "--data", str(questions), "--method", "lora"]
    done = python("-m", "tui", "train", *job)
    assert done.returncode == 4
    assert f"failed: {SENTENCE}\n" in done.stdout and "Traceback" not in done.stdout + done.stderr
    (folder,) = all_runs()
    ended(folder)


def test_a_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "broken" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise ImportError({CAUSE!r})\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), str(ROOT)]))
    done = python("-m", "tui", "plan", "--model", "1b", "--rows", "10", "--row-tokens", "50", "--dry-run")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"fttui: {SENTENCE}")
    assert "Traceback" not in done.stderr


def test_from_the_screen_s_thread(broken_torch: None, fttui_home: Path) -> None:
    folder = RunFolder.create(JOB)
    script = (
        "import sys; from pathlib import Path; from backend.launch import launch; from backend.run.folder import *; "
        "trainer = launch.start(RunFolder(Path(sys.argv[1]))); trainer.join(); print(trainer.state)"
    )
    done = python("-c", script, str(folder.path))
    assert done.stdout == "failed\n" and not done.stderr
    ended(folder)


def test_on_several_devices(broken_torch: None, fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rank fails in the same way; the parent says so once."""
    from backend.run.control import Inbox

    folder = RunFolder.create(replace(JOB, plan=replace(JOB.plan, processes=2)))
    assert several.train(folder, Inbox(folder.commands_file)) == "failed"
    ended(folder)


def test_a_run_of_another_process_is_left_alone(broken_torch: None, fttui_home: Path) -> None:
    folder = RunFolder.create(JOB)
    script = (
        "import sys; from pathlib import Path; from backend.launch import launch; from backend.run.folder import *; "
        "trainer = launch.start(RunFolder(Path(sys.argv[1]))); trainer.join(); print(trainer.state)"
    )
    with folder.hold():
        assert python("-c", script, str(folder.path)).stdout == "failed\n"
    assert not folder.events_file.exists()


def test_a_library_that_breaks_within_the_run_is_named_by_its_first_cause() -> None:
    """transformers imports its parts when they are used, and wraps what it meets."""
    wrapped = ModuleNotFoundError("Could not import module 'AutoModel'")
    wrapped.__cause__ = ImportError(CAUSE)
    assert sentence(wrapped, "run") == SENTENCE


def test_the_sentence_of_a_failure_needs_no_torch() -> None:
    """Nor does recognising torch's own words for a lack of memory."""
    script = (
        "import sys; from backend.training.failure import sentence; "
        "print(sentence(RuntimeError('CUDA out of memory'), 'run')); print('torch' in sys.modules)"
    )
    text, loaded = python("-c", script).stdout.splitlines()
    assert text.startswith("memory ran out") and loaded == "False"
