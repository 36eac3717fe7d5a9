"""History: what a screen reads, folded from events."""

from __future__ import annotations

from pathlib import Path

from backend.run.events import EventLog
from backend.run.history import History, read


def written(path: Path, *events: tuple[str, dict[str, object]]) -> History:
    log = EventLog(path)
    for name, fields in events:
        log.write(name, **fields)
    log.close()
    return read(path)


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    history = written(
        tmp_path / "events.jsonl",
        ("run_started", {"total_steps": 2, "method": "lora"}),
        ("phase", {"name": "train"}),
        ("eval", {"step": 0, "loss": 3.0}),
        ("step", {"step": 1, "total_steps": 2, "loss": 2.5, "eta_seconds": 7}),
        ("memory", {"peak_bytes": 100}),
        ("memory", {"peak_bytes": 80}),
        ("step", {"step": 2, "total_steps": 2, "loss": None}),
        ("sample", {"step": 2, "prompt": "q", "text": "a"}),
        ("checkpoint", {"step": 2, "path": "x"}),
        ("log", {"text": "hello", "level": "warning"}),
        ("something_new", {"field": 1}),
        ("run_finished", {"state": "done", "loss": 2.0}),
    )
    assert (history.step, history.total_steps, history.state, history.phase) == (2, 2, "done", "done")
    assert (list(history.steps), list(history.losses)) == ([1], [2.5])
    assert history.peak_bytes == 100
    assert history.evaluations[0].loss == 3.0
    assert history.samples[0].text == "a"
    assert [line.text for line in history.log] == ["held-out loss 3.0000 at step 0", "checkpoint at step 2", "hello"]


def test_what_a_resumed_run_repeats_replaces_what_was(tmp_path: Path) -> None:
    steps: list[tuple[str, dict[str, object]]] = [
        ("step", {"step": n, "total_steps": 9, "loss": float(n)}) for n in (1, 2, 3)
    ]
    again: list[tuple[str, dict[str, object]]] = [
        ("step", {"step": n, "total_steps": 9, "loss": 10.0 + n}) for n in (3, 4)
    ]
    history = written(
        tmp_path / "events.jsonl",
        ("run_started", {"total_steps": 9}),
        *steps,
        ("eval", {"step": 3, "loss": 1.0}),
        ("run_finished", {"state": "stopped"}),
        ("run_started", {"total_steps": 9, "step": 2}),
        *again,
    )
    assert list(history.steps) == [1, 2, 3, 4]
    assert list(history.losses) == [1.0, 2.0, 13.0, 14.0]
    assert history.evaluations == []
    assert history.state == "running"


def test_polling_tells_whether_anything_came(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    history, log = History(path), EventLog(path)
    assert not history.poll()
    log.write("step", step=1, eta_seconds=4)
    assert history.poll()
    assert history.eta_seconds == 4.0
    assert not history.poll()


def test_missing_fields_do_no_harm(tmp_path: Path) -> None:
    names = ("run_started", "phase", "step", "memory", "eval", "sample", "checkpoint", "log", "oom", "replanned", "gpu")
    history = written(tmp_path / "events.jsonl", *((name, {}) for name in names), ("run_finished", {}))
    assert history.state == "running"
    assert history.phase == "done"
