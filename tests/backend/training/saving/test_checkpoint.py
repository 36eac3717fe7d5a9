from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend.training import rng
from backend.training.saving import checkpoint


def write(folder: Path, step: int, eval_loss: float | None = None) -> checkpoint.Checkpoint:
    return checkpoint.write(folder, step, {"a": torch.full((3,), float(step))}, {"progress": {"step": step}}, eval_loss)


def newest_step(folder: Path) -> int | None:
    found, _ = checkpoint.newest(folder)
    return found.manifest.step if found else None


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    written = write(tmp_path, 12, 0.5)
    found, skipped = checkpoint.newest(tmp_path)
    assert found == written and not skipped
    assert torch.equal(found.weights()["a"], torch.full((3,), 12.0))
    assert found.state() == {"progress": {"step": 12}}
    assert found.bytes == sum(file.stat().st_size for file in found.path.iterdir())
    assert newest_step(tmp_path / "nothing") is None


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors", "state.pt"])
@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_any_damage_is_found_and_an_older_one_used(name: str, damage: str, tmp_path: Path) -> None:
    write(tmp_path, 1)
    file = write(tmp_path, 2).path / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-7] if damage == "cut" else content[:-2] + b"\x00\x01")
    found, skipped = checkpoint.newest(tmp_path)
    assert found is not None and found.manifest.step == 1
    assert len(skipped) == 1 and "step-00000002" in skipped[0]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="are needed in"):
        write(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_half_written_one_is_no_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / ".writing-00000002").mkdir()
    assert newest_step(tmp_path) == 1
    checkpoint.prune(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for step, loss in ((1, 0.9), (2, 0.3), (3, None), (4, 0.5), (5, 0.6)):
        write(tmp_path, step, loss)
    checkpoint.prune(tmp_path, 2)
    assert [x.manifest.step for x in checkpoint.every(tmp_path)] == [2, 4, 5]
    assert (best := checkpoint.best(tmp_path)) is not None and best.manifest.step == 2


def test_a_damaged_one_that_was_passed_over_counts_no_more(tmp_path: Path) -> None:
    write(tmp_path, 10, 0.9)
    (write(tmp_path, 20, 0.1).path / "state.pt").write_bytes(b"x")
    (write(tmp_path, 30).path / "manifest.json").write_bytes(b"x")
    assert newest_step(tmp_path) == 10
    write(tmp_path, 12, 0.8)
    checkpoint.prune(tmp_path, 1)
    assert newest_step(tmp_path) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000012"]


def test_one_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    write(tmp_path, 1)
    checkpoint.write(tmp_path, 1, {"a": torch.zeros(1)}, {}, None)
    found, _ = checkpoint.newest(tmp_path)
    assert found is not None and torch.equal(found.weights()["a"], torch.zeros(1))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_random_generators_go_on_where_they_were(tmp_path: Path) -> None:
    import random

    import numpy as np

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))

    rng.seed(5)
    first = draw()
    written = checkpoint.write(tmp_path, 1, {"a": torch.zeros(1)}, {"rng": rng.capture()}, None)
    expected = draw()
    rng.seed(5)
    assert draw() == first
    draw()
    rng.restore(written.state()["rng"])
    assert draw() == expected
