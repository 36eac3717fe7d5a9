"""What every test shares: a home of its own, no network, and one tiny model."""

from __future__ import annotations

import faulthandler
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.hardware import rate
from backend.hardware.host import CpuRate
from tests.tiny import make_model

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "2")


STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STDERR] = os.dup(2)  # before pytest captures it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End the process with the tracebacks of all threads if a test hangs in native code, which no alarm interrupts."""
    own = item.get_closest_marker("timeout")
    limit = float(own.args[0] if own else item.config.getini("timeout"))
    faulthandler.dump_traceback_later(limit + 60, exit=True, file=item.config.stash[STDERR])
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Do the same if the process hangs at its exit; old temporary folders may take a while to remove."""
    faulthandler.dump_traceback_later(300, exit=True, file=config.stash[STDERR])


@pytest.fixture(autouse=True)
def fttui_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`$FTTUI_HOME` in the test's own folder, so that no test meets another's runs or the user's."""
    home = tmp_path / "home"
    monkeypatch.setenv("FTTUI_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return home


@pytest.fixture(autouse=True)
def quiet_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """This box counts as one with 200 GFLOP/s on which nothing else runs, whatever tests run beside this one."""
    monkeypatch.setattr(rate, "measure_cpu_rate", lambda _: CpuRate(2e11, quiet=True))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with tokenizer and chat template."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty question/answer rows as JSON lines."""
    path = tmp_path_factory.mktemp("data") / "questions.jsonl"
    rows = [
        {
            "question": f"How many apples are left when {name} eats {b} of {a + b} apples?",
            "answer": f"{a + b} - {b} = {a} apples.",
        }
        for name in ("Tom", "Ann", "Lee", "Sue")
        for a, b in ((1, 2), (3, 4), (5, 1), (7, 2), (9, 3), (2, 8), (4, 4), (6, 5), (8, 1), (11, 6))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
