"""Each panel on made-up histories, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.app import ComposeResult

from backend.run.event_log import EventLog
from backend.run.events import (
    Calibrated,
    CpuReading,
    Evaluated,
    Event,
    ForgettingMeasured,
    Logged,
    MemoryReading,
    PhaseStarted,
    PredictedFigures,
    RunFinished,
    RunStarted,
    Sampled,
    StepDone,
    TaskScored,
)
from backend.run.history import History, read
from tests.tui.nasty import NASTY
from tests.tui.stage import Stage
from tests.tui.story import AFTER, BEFORE, GIB, PREDICTED, PROMPT, SECOND, START, Story, finish, make_run, measure, tell
from tui.panels.curve import Curve
from tui.panels.gpu import GpuPanel
from tui.panels.lines import Lines
from tui.panels.log import LogPanel
from tui.panels.memory import MemoryPanel
from tui.panels.outcome import Outcome, figures
from tui.panels.panel import Panel
from tui.panels.progress import ProgressPanel
from tui.panels.samples import Samples


def events(folder: Path, *written: Event) -> History:
    log = EventLog(folder / "events.jsonl")
    for event in written:
        log.write(replace(event, t=START))
    log.close()
    return read(folder / "events.jsonl")


async def shown(widget: Lines, size: tuple[int, int] = (60, 14), press: tuple[str, ...] = ()) -> list[str]:
    """The rows that `widget` draws in a terminal of its own."""

    class Shown(Stage):
        def compose(self) -> ComposeResult:
            yield widget

    app = Shown(None)
    async with app.run_test(size=size) as pilot:
        if press:
            widget.focus()
        await pilot.press(*press)
        if isinstance(widget, Panel | ProgressPanel):
            widget.redraw()
        return [widget.render_line(y).text for y in range(size[1])]


def run_until(steps: int, **story: Any) -> tuple[History, float]:
    folder, whole = make_run(), Story(**story)
    at = tell(folder, whole.begin(), whole.steps(steps))
    return read(folder.events_file), at


async def test_the_curve_has_axes_a_line_and_marks() -> None:
    history, _ = run_until(1204)
    rows = await shown(Curve(history))
    text = "\n".join(rows)
    assert f"{history.losses[-1]:.3f} mean 1.0" in rows[0]
    assert "◆ 1.06" in rows[0]
    assert text.count("◆") == 1 + len(history.evaluations)
    assert "2,048 steps" in text
    assert "1.5" in text
    assert any("\u2800" < character <= "\u28ff" for character in text)


async def test_the_average_is_named_with_its_steps_beside_the_last_loss() -> None:
    history, _ = run_until(1204)
    head = (await shown(Curve(history), (110, 14)))[0]
    assert f"last {history.losses[-1]:.3f}  mean of 101 steps 1.0" in head
    assert "◆ held-out 1.06" in head


async def test_a_spike_is_marked_beyond_the_scale_and_makes_no_plateau(tmp_path: Path) -> None:
    losses = [1.0 + 0.1 * (i % 5) for i in range(300)]
    losses[200] = 90.0
    history = events(tmp_path, *[StepDone(step=i, total_steps=300, loss=x) for i, x in enumerate(losses, 1)])
    rows = await shown(Curve(history), (120, 16))
    assert rows[1].count("▲") == 1
    assert sum("\u2800" < character <= "\u28ff" for character in rows[1]) <= 4
    whole = await shown(Curve(events(tmp_path, *[StepDone(step=i, loss=float(i)) for i in (301, 302)])), (120, 16))
    assert "▲" not in "".join(whole[2:])


async def test_brackets_go_through_what_the_run_has_measured() -> None:
    curve = Curve(run_until(400)[0])
    seen = []
    for _ in range(7):
        seen.append(curve.title)
        await shown(Curve(curve.history))
        curve.turn(1)
    assert seen == ["Loss", "Learning rate", "Gradient norm", "Tokens/s", "Memory, GiB", "GPU use, %", "Loss"]


@pytest.mark.parametrize(("turns", "words"), [(1, "e-4"), (3, "predicted 2,700"), (4, "GiB"), (5, "98 %")])
async def test_each_quantity_has_its_own_scale_and_unit(turns: int, words: str) -> None:
    curve = Curve(run_until(400)[0])
    for _ in range(turns):
        curve.turn(1)
    assert words in "\n".join(await shown(curve, (100, 14)))


async def test_before_the_first_loss_the_curve_shows_the_phase(tmp_path: Path) -> None:
    history = events(tmp_path, PhaseStarted(name="load"))
    text = "\n".join(await shown(Curve(history, lambda: START + 75)))
    assert "loading the model" in text
    assert "1 m 15 s" in text


async def test_while_a_model_is_loaded_the_log_speaks_and_no_library(tmp_path: Path) -> None:
    events(tmp_path, Logged(text="23 rows to train on"), PhaseStarted(name="load"))
    (tmp_path / "out.log").write_text("  warnings.warn(\n")
    text = "\n".join(await shown(Curve(read(tmp_path / "events.jsonl", tmp_path / "out.log"))))
    assert "23 rows to train on" in text and "warnings.warn" not in text


@pytest.mark.parametrize("width", [40, 46, 60, 90])
async def test_what_has_no_room_in_the_frame_is_left_out_whole(width: int, tmp_path: Path) -> None:
    seen = [Evaluated(step=0, loss=1.081), StepDone(step=4, total_steps=4, loss=0.884), Evaluated(step=4, loss=0.651)]
    top = (await shown(Curve(events(tmp_path, RunStarted(total_steps=4), *seen)), (width, 14)))[0]
    assert "0.884" in top and "0.651" in top and "…" not in top


async def test_a_resumed_run_draws_its_repeated_steps_once(tmp_path: Path) -> None:
    steps = [StepDone(step=i, total_steps=50, loss=9.0) for i in range(1, 21)]
    history = events(tmp_path, RunStarted(step=0, total_steps=50), *steps)
    curve = Curve(history)
    await shown(curve)
    again = [StepDone(step=i, total_steps=50, loss=1.0) for i in range(1, 31)]
    log = EventLog(tmp_path / "events.jsonl")
    log.write(RunStarted(step=0, total_steps=50))
    for event in again:
        log.write(event)
    fresh = read(tmp_path / "events.jsonl")
    assert "9." not in "\n".join(await shown(Curve(fresh)))


async def test_memory_is_compared_with_the_prediction() -> None:
    history, _ = run_until(600)
    rows = await shown(MemoryPanel(history))
    peak = f"{history.peak_bytes / PREDICTED.peak_allocated_bytes * 100:.0f} % of predicted"
    assert peak in rows[0]
    assert "11.6 GiB" in rows[3]
    assert "card 23.5 GiB · torch's allocator" in rows[4]


async def test_memory_of_a_cpu_run_is_that_of_the_process(tmp_path: Path) -> None:
    memory = MemoryReading(kind="rss", allocated_bytes=GIB, peak_bytes=2 * GIB, device_bytes=16 * GIB)
    history = events(tmp_path, RunStarted(predicted=PredictedFigures(peak_bytes=4 * GIB)), memory)
    rows = await shown(MemoryPanel(history))
    assert "50 % of predicted" in rows[0]
    assert "RAM 16.0 GiB · this process (RSS)" in rows[4]


async def test_memory_without_a_reading_or_a_prediction_says_so(tmp_path: Path) -> None:
    assert "no reading yet" in (await shown(MemoryPanel(events(tmp_path, PhaseStarted(name="data")))))[1]


async def test_speed_shows_the_gpu_and_what_was_predicted() -> None:
    text = "\n".join(await shown(GpuPanel(run_until(40)[0])))
    assert all(part in text for part in ("GPU  98 %", "72 °C", "398 W", "2,700 tok/s", "gradient norm"))


async def test_speed_without_a_gpu_says_so() -> None:
    text = "\n".join(await shown(GpuPanel(run_until(40, device="cpu")[0])))
    assert "no GPU: CPU training" in text


@pytest.mark.parametrize(
    ("width", "words"), [(60, "CPU  92 % of 16 cores, this run 100 %"), (34, "CPU  92 %, this run 100 %")]
)
async def test_the_cpu_and_this_runs_part_of_it_are_never_cut(width: int, words: str, tmp_path: Path) -> None:
    cpu = CpuReading(load_percent=92.0, own_percent=100.0, cores=16)
    history = events(tmp_path, RunStarted(), MemoryReading(kind="rss", allocated_bytes=GIB), cpu)
    assert words in "\n".join(await shown(GpuPanel(history), (width, 6)))


async def test_samples_are_next_to_the_answer_before_training() -> None:
    history, _ = run_until(400)
    text = " ".join(" ".join(await shown(Samples(history), (120, 10))).split())
    assert all(part in text for part in (PROMPT, BEFORE, "#### 72", "1 of 2"))
    assert AFTER.split("\n")[0] in text


async def test_arrows_show_the_next_prompt() -> None:
    text = "\n".join(await shown(Samples(run_until(400)[0]), (120, 6), press=("down",)))
    assert SECOND in text
    assert "2 of 2" in text


async def test_the_log_follows_until_it_is_scrolled(tmp_path: Path) -> None:
    history = events(tmp_path, *[Logged(text=f"line {i}") for i in range(100)])
    assert "line 99" in "\n".join(await shown(LogPanel(history), (60, 8)))
    scrolled = "\n".join(await shown(LogPanel(history), (60, 8), press=("up", "up", "up")))
    assert "line 99" not in scrolled
    assert "line 96" in scrolled
    assert "3 newer" in scrolled
    assert "3 newer" in "\n".join(await shown(LogPanel(history), (80, 8), press=("up", "up", "up")))
    oldest = "\n".join(await shown(LogPanel(history), (60, 8), press=("home",)))
    assert "line 0 " in oldest
    assert "line 99" in "\n".join(await shown(LogPanel(history), (60, 8), press=("home", "end")))


async def test_a_long_line_of_the_log_wraps_and_scrolls_sideways(tmp_path: Path) -> None:
    history = events(tmp_path, Logged(text="first " + "word " * 30 + "last"), Logged(text="short"))
    cut = "\n".join(await shown(LogPanel(history), (60, 8)))
    assert "first" in cut and "last" not in cut
    whole = "\n".join(await shown(LogPanel(history), (60, 8), press=("w",)))
    assert "first" in whole and "last" in whole and "short" in whole
    right = "\n".join(await shown(LogPanel(history), (60, 8), press=("right",) * 9))
    assert "last" in right and "first" not in right


async def test_what_libraries_printed_is_shown_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "out.log").write_text("a library's noise\n")
    events(tmp_path, Logged(text="ours"))
    history = read(tmp_path / "events.jsonl", tmp_path / "out.log")
    assert "noise" not in "\n".join(await shown(LogPanel(history), (60, 8)))
    assert "noise" in "\n".join(await shown(LogPanel(history), (60, 8), press=("v",)))
    log = EventLog(tmp_path / "events.jsonl")
    log.write(RunFinished(state="failed", error="it broke"))
    log.close()
    failed = read(tmp_path / "events.jsonl", tmp_path / "out.log")
    assert "noise" in "\n".join(await shown(LogPanel(failed), (60, 8)))


async def test_answers_are_beside_each_other_if_there_is_room() -> None:
    rows = await shown(Samples(run_until(400)[0]), (140, 12))
    line = next(row for row in rows if "before" in row)
    assert "now" in line and line.index("now") > 60 and BEFORE[:20] in line


@pytest.mark.parametrize("name", NASTY)
async def test_no_panel_lets_outside_text_through(name: str, tmp_path: Path) -> None:
    text = NASTY[name]
    clean = text.encode("utf-8", "replace").decode()  # the log is JSON in UTF-8: no surrogate gets there
    history = events(tmp_path, Logged(text=clean), Sampled(step=0, prompt=clean, text=clean))
    for widget in (LogPanel(history), Samples(history), ProgressPanel(history, text)):
        drawn = "".join(await shown(widget))
        assert all(character.isprintable() for character in drawn), drawn


async def test_progress_says_when_it_ends() -> None:
    history, at = run_until(1204)
    text = "\n".join(await shown(ProgressPanel(history, "demo · LoRA", lambda: at), (120, 2)))
    assert all(part in text for part in ("demo · LoRA", "1,204 of 3,600", "epoch 1.00 of 3", "ETA", "33 %"))


async def test_progress_before_the_first_step_shows_the_phase(tmp_path: Path) -> None:
    history = events(tmp_path, PhaseStarted(name="data"))
    rows = await shown(ProgressPanel(history, "demo", lambda: START + 5), (80, 2))
    assert "preparing the data 5 s" in rows[0]


async def test_figures_keep_their_places() -> None:
    history, at = run_until(999)
    before = (await shown(ProgressPanel(history, "demo", lambda: at), (120, 2)))[0]
    history, at = run_until(1000)
    after = (await shown(ProgressPanel(history, "demo", lambda: at), (120, 2)))[0]
    assert before.index("of 3,600") == after.index("of 3,600")
    assert before.index("tok/s") == after.index("tok/s")


def test_the_outcome_compares_what_is_comparable() -> None:
    folder, story = make_run(), Story()
    at = tell(folder, story.begin(), story.steps(1500))
    finish(folder, at, "done", tokens_per_second=2970.0)
    by_name = {figure.name: figure for figure in figures(read(folder.events_file))}
    assert by_name["tokens/s"].error == pytest.approx(0.1)
    assert by_name["peak"].predicted == PREDICTED.peak_allocated_bytes
    assert by_name["time"].measured == pytest.approx(at - START)
    assert by_name["cost"].measured == pytest.approx((at - START) / 3600 * 0.45)


def test_the_error_knows_which_direction_is_better() -> None:
    folder, story = make_run(), Story(total_steps=100)
    finish(folder, tell(folder, story.begin(), story.steps(100)), "done", tokens_per_second=900.0)
    by_name = {figure.name: figure for figure in figures(read(folder.events_file))}
    assert (by_name["time"].error or 0) < -0.5 and by_name["time"].is_better
    assert by_name["tokens/s"].error == pytest.approx(-2 / 3) and not by_name["tokens/s"].is_better


async def test_a_finished_run_shows_its_mean_speed() -> None:
    folder, story = make_run(), Story(total_steps=100)
    finish(folder, tell(folder, story.begin(), story.steps(100)), "done", tokens_per_second=1234.0)
    history = read(folder.events_file)
    assert "1,234 tok/s mean" in (await shown(ProgressPanel(history, "demo"), (120, 2)))[0]
    assert any("1,234" in row for row in await shown(Outcome(history)))


async def test_epochs_have_no_total_if_the_limit_of_steps_ends_the_run(tmp_path: Path) -> None:
    step = StepDone(step=13, total_steps=40, epoch=0.11, loss=1.0)
    for plan, of in (({"max_steps": 40}, False), ({"max_steps": 0}, True), ({"max_steps": 90}, True)):
        folder = tmp_path / str(plan["max_steps"])
        folder.mkdir()
        history = events(folder, RunStarted(total_steps=40, epochs=4.0, plan=plan), step)
        head = (await shown(ProgressPanel(history, "demo"), (120, 2)))[0]
        assert "epoch 0.11" in head
        assert ("of 4" in head.split("epoch")[1]) == of


def test_a_run_that_did_not_end_has_no_error_in_time() -> None:
    folder, story = make_run(), Story()
    finish(folder, tell(folder, story.begin(), story.steps(100)), "failed", error="it broke")
    by_name = {figure.name: figure for figure in figures(read(folder.events_file))}
    assert by_name["time"].error is None
    assert by_name["peak"].error is not None


async def test_the_outcome_shows_how_the_loss_changed() -> None:
    folder, story = make_run(), Story(total_steps=100)
    finish(folder, tell(folder, story.begin(), story.steps(100)), "done")
    text = "\n".join(await shown(Outcome(read(folder.events_file))))
    assert "held-out loss 1.569 → 0.888" in text
    assert "▼ 43 %" in text


async def test_the_outcome_has_the_phases_if_there_is_room_and_whether_it_corrects_predictions() -> None:
    folder, story = make_run(), Story(total_steps=100)
    at = tell(folder, story.begin(), story.steps(100))
    measure(folder, at)
    finish(folder, at, "done")
    history = read(folder.events_file)
    small = "\n".join(await shown(Outcome(history), (40, 10)))
    assert "corrects the next prediction here" in small and "each phase" not in small
    large = " ".join("\n".join(await shown(Outcome(history), (48, 20))).split())
    assert "eval 8.2 GiB 8.9 GiB +9 %" in large and "load 6.1 GiB 5.7 GiB −7 %" in large
    assert "prediction corrected by 3 runs" in large


async def test_the_figures_of_the_outcome_never_touch() -> None:
    folder, story = make_run(), Story(total_steps=100)
    tell(folder, story.begin(), story.steps(100))
    finish(folder, START + 59 * 60 + 59, "done", tokens_per_second=9.4)
    rows = await shown(Outcome(read(folder.events_file)), (40, 14))
    (time_row,) = (row for row in rows if "time " in row and "59 m 59 s" in row)
    assert " 59 m 59 s " in time_row and "3 h 06 m " in time_row


async def test_the_outcome_says_why_a_run_corrects_nothing(tmp_path: Path) -> None:
    event = Calibrated(kept=False, reason="too few steps")
    rows = await shown(Outcome(events(tmp_path, event, RunFinished(state="done"))))
    assert any("no correction: too few steps" in row for row in rows)


async def test_bars_of_a_small_run_on_a_big_device_have_their_own_scale(tmp_path: Path) -> None:
    memory = MemoryReading(kind="rss", allocated_bytes=400 * 2**20, peak_bytes=440 * 2**20, device_bytes=24 * GIB)
    rows = await shown(MemoryPanel(events(tmp_path, memory)))
    assert "bars to 1 GiB" in rows[4]
    assert rows[1].count("█") > 8


@pytest.mark.parametrize("text", ["春眠暁を覚えず処処啼鳥を聞く夜来風雨の声花落つること知る多少" * 3, "/a/path/" * 20])
async def test_an_answer_without_spaces_is_wrapped_and_not_cut(text: str, tmp_path: Path) -> None:
    history = events(tmp_path, Sampled(step=0, prompt="?", text=text))
    rows = await shown(Samples(history), (40, 14))
    assert text in "".join(row.strip(" │").removeprefix("answer").strip() for row in rows[2:-1])


async def test_several_rows_that_ask_the_same_before_training_are_no_before_and_after(tmp_path: Path) -> None:
    twice = [Sampled(step=0, prompt="2 + 2?", text="Five."), Sampled(step=0, prompt="2 + 2?", text="Five.")]
    text = "\n".join(await shown(Samples(events(tmp_path, *twice)), (60, 8)))
    assert "answer" in text and "now" not in text


async def test_what_was_forgotten_and_the_score_are_said_in_short_rather_than_cut(tmp_path: Path) -> None:
    figures: dict[str, Any] = {"base_loss": 2.0, "kl": 0.02, "examples": 40, "tokens": 900, "final": True}
    history = events(
        tmp_path,
        *(Evaluated(step=step, loss=loss) for step, loss in ((0, 1.5), (40, 1.0))),
        *(TaskScored(step=step, name="number", score=score, low=0.2, high=0.45, rows=50) for step, score in SCORES),
        *(ForgettingMeasured(step=40, part=x, loss=2.02, low=0.01, high=0.03, **figures) for x in ("prose", "code")),
        Calibrated(kept=True, reason=None),
        RunFinished(state="done", seconds=60.0, step=40, total_steps=40),
    )
    narrow = await shown(Outcome(history), (40, 11))
    assert any("forgetting: +1.0 % low" in row for row in narrow)
    assert any("task: 31 % (20 to 45), before 12 %" in row for row in narrow)
    assert any("corrects the next prediction" in row for row in narrow), "the gap gives way"
    wide = "\n".join(await shown(Outcome(history), (80, 14)))
    assert "forgetting: prose +1.0 %, code +1.0 %, KL 0.020: low" in wide


SCORES = ((0, 0.12), (40, 0.31))


def test_the_time_of_a_resume_that_failed_at_once_is_that_of_all_attempts(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for at, event in (
        (0, RunStarted(total_steps=40, predicted=PredictedFigures(hours=1.0))),
        (60, RunFinished(state="stopped", seconds=60.0)),
        (500, RunStarted(step=20)),
        (501, RunFinished(state="failed", error="the data is gone")),
    ):
        log.write(replace(event, t=START + at))
    log.close()
    taken = next(x for x in figures(read(tmp_path / "events.jsonl")) if x.name == "time")
    assert taken.measured == 61.0
