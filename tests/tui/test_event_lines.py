"""Plain lines of a run: readable, thinned out, harmless."""

from __future__ import annotations

from tui.event_lines import EventLines


def lines(*events: dict[str, object]) -> list[str]:
    feed = EventLines()
    return [line[10:] for event in events for line in feed.feed(event)]


def step(number: int, t: float, total: int = 100) -> dict[str, object]:
    return {"t": t, "event": "step", "step": number, "total_steps": total, "loss": 1.5, "tokens_per_second": 1234.5}


def test_steps_are_thinned_to_one_a_second_and_the_last_is_printed() -> None:
    printed = lines(step(1, 10.0), step(2, 10.2), step(3, 11.1), step(100, 11.2))
    assert [line.split()[1] for line in printed] == ["1/100", "3/100", "100/100"]
    assert "loss 1.5000  1,23" in printed[0]


def test_the_end_says_what_came_of_it() -> None:
    done = {"t": 1, "event": "run_finished", "state": "done", "seconds": 65, "eval_loss_before": 2.0, "eval_loss": 1.5}
    assert lines(done)[0] == "done after 1 m 05 s, held-out loss 2.0000 -> 1.5000"
    assert lines({"t": 1, "event": "run_finished", "state": "failed", "error": "it broke"}) == ["failed: it broke"]


def test_outside_text_is_made_harmless() -> None:
    said = lines({"t": 1, "event": "sample", "prompt": "\x1b[31mred", "text": "a\nb\x9b2J"})
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for line in said for char in line)


def test_every_event_survives_missing_fields() -> None:
    names = ("run_started", "phase", "step", "eval", "sample", "checkpoint", "log", "oom", "replanned", "new_one")
    for name in (*names, "run_finished"):
        lines({"t": 1, "event": name})


def test_a_question_is_printed_once_and_training_is_announced_once() -> None:
    sample = {"t": 1, "event": "sample", "prompt": "why?", "text": "because"}
    phase = {"t": 1, "event": "phase", "name": "train"}
    assert lines(phase, sample, phase, sample) == ["training", "asked why?", "it says because", "it says because"]
