"""The whole path in a real terminal at 80x24, keys only: the wizard, a real run of the demo, its result, its files."""

from __future__ import annotations

import json
import time

import pytest
from safetensors import safe_open

from backend.run.folder import all_runs
from backend.run.history import read
from tests.terminal.tmux import Tmux, tmux

__all__ = ["tmux"]
pytestmark = [pytest.mark.terminal, pytest.mark.torch]

MODEL_SECONDS = 120.0
"""The demo model is converted on the way, which takes about 20 s on two free cores."""
RUN_SECONDS = 240.0
HUMAN_SECONDS = 1.0
"""A pause before the Enter that starts training: the screen ignores an Enter within a burst of keys as an accident."""


@pytest.mark.timeout(600)
def test_enter_alone_reaches_review_and_the_demo_trains_to_its_result(tmux: Tmux) -> None:
    tmux.python("-m tui")  # in the clone, as `make run` does: it has files that could be taken for data
    tmux.wait("Where|box")
    tmux.wait("Enter")
    for step in ("model", "data", "goal", "compare"):
        tmux.wait("next")
        tmux.keys("Enter")
        tmux.wait(rf"● {step}", MODEL_SECONDS)
    tmux.wait("recommended", MODEL_SECONDS)
    tmux.keys("Enter")
    tmux.wait("● review")
    _shorten(tmux)
    time.sleep(HUMAN_SECONDS)
    tmux.keys("Enter")
    tmux.wait("step +[0-9]+ of 4", RUN_SECONDS)
    tmux.wait("✓ done", RUN_SECONDS)
    tmux.wait(r"from_pretrained\(path\)")
    tmux.keys("q")
    tmux.wait(r"code=0\s+READY\$")

    (run,) = all_runs()
    history = read(run.events_file)
    assert (history.state, history.step, history.total_steps) == ("done", 4, 4)
    assert len(history.evaluations) >= 2
    assert history.samples
    assert run.job().model == run.job().data == "demo"
    adapter = json.loads((run.result / "adapter_config.json").read_text())
    assert adapter["r"] == run.job().plan.rank
    with safe_open(run.result / "adapter_model.safetensors", framework="np") as weights:
        moved = [name for name in weights.keys() if "lora_B" in name and abs(weights.get_tensor(name)).max() > 0]  # noqa: SIM118
    assert moved, "lora_B starts at zero; after four steps it must not be"


def _shorten(tmux: Tmux) -> None:
    """Four steps are enough: change max_steps on the review screen."""
    tmux.wait("❯ Start the training")
    tmux.keys("Down", "Down", "Down", "Down")
    tmux.wait("❯ max_steps +40")
    tmux.keys("Enter")
    tmux.wait("empty: what the planner")
    tmux.keys("C-u")
    tmux.keys("4")
    tmux.keys("Enter")
    tmux.wait(r"max_steps +4\b.*you set")
    tmux.keys("Home")
    tmux.wait("❯ Start the training")
