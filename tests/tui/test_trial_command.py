"""`fttui plan --trial`: all methods tried for real on a tiny model, what it prints, keeps and refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backend import paths, units
from backend.answers import METHODS, Answers
from backend.measured import records
from backend.planner import rules
from backend.planner.compare import compare
from backend.run.folder import RunFolder
from backend.trial import plan as trial_plan
from backend.trial.found import Figures, TrialResult
from tests.shapes import CPU, H100, LLAMA_1B, LLAMA_70B, model, rows
from tests.terminal.tmux import ROOT
from tui import trying
from tui.cli import run
from tui.commands import trial as trials

MEASURED = Figures(1240.0, 2.4, 2 << 30, 0.9, 0.27)
PREDICTED = Figures(1100.0, 2.7, 3 << 30, 1.1, 0.3)
FOUND = TrialResult(20, 20, 62.0, PREDICTED, MEASURED, 50, 1.5694, 1.5251, "", "", "")
SHORT = ("--max-length", "128", "--effective-batch", "4", "--set", "max_steps=9")


@pytest.mark.torch
def test_every_method_is_tried_on_the_users_own_data(
    tiny_model: Path, questions: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = ("--model", str(tiny_model), "--data", str(questions), *SHORT)
    assert run(["plan", *job, "--trial", "--json"]) == 0
    printed, told = capfd.readouterr()
    tried: dict[str, dict[str, Any]] = json.loads(printed)["trial"]
    assert set(tried) == set(METHODS)
    for one in tried.values():
        assert (one["steps"], one["planned_steps"], one["failure"], one["not_kept"]) == (9, 9, "", "")
        assert one["loss_after"] < one["loss_before"]
        assert all(value > 0 for name, value in one["measured"].items() if name != "cost_usd")
    assert told.startswith("9 real steps of LoRA, about ") and "Full: loading the model" in told

    kept, damaged = records.read()
    assert [(x.method, x.steps) for x in kept] == [(method, 6) for method in METHODS] and damaged == 0
    assert run(["plan", *job, "--json"]) == 0
    after = json.loads(capfd.readouterr().out)
    assert after["calibration"]["runs"] == 3
    assert after["methods"]["lora"]["peak_bytes"] != tried["lora"]["foreseen"]["peak_bytes"]
    assert list(paths.runs().iterdir()) == []
    assert [path.name for path in (paths.home() / "trials").iterdir()] == ["lock"]


@pytest.mark.parametrize("end", ["Ctrl+C", "killed", "its reader has left"])
def test_ended_in_mid_trial_it_leaves_no_process_and_no_file(tiny_model: Path, questions: Path, end: str) -> None:
    command = [sys.executable, "-m", "tui", "plan", "--model", str(tiny_model), "--data", str(questions), "--trial"]
    obeys_ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a background job inherits that it is ignored
    with subprocess.Popen(
        [*command, *SHORT], cwd=ROOT, stdout=-1, stderr=subprocess.PIPE, text=True, preexec_fn=obeys_ctrl_c
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("LoRA"):
                break
        (folder,) = (paths.home() / "trials").glob("trial-*")
        if end == "its reader has left":
            process.stderr.close()  # as the kernel does when the wizard dies
            process.wait(60)
        else:
            number = signal.SIGINT if end == "Ctrl+C" else signal.SIGKILL
            process.send_signal(number)
            assert process.wait(60) == (130 if end == "Ctrl+C" else -number)
    while folder.exists():  # a process whose holder was killed takes a moment; the test's time limit is its bound
        pass


def a_comparison(device: Any = CPU, shape: Any = LLAMA_1B, **changes: Any) -> Any:
    answers = replace(Answers(model="1b", data="rows.jsonl"), **changes)
    return compare(answers, device, model(shape), rows(300))


def the_table(**changes: Any) -> str:
    comparison = a_comparison()
    found = {method: replace(FOUND, **changes) for method in METHODS}
    return trials.table(comparison, [trial_plan.of(comparison, method) for method in METHODS], found)


def test_the_table_has_measured_above_predicted_and_fits() -> None:
    text = the_table()
    lines = {line[:14].strip(): line[14:].split("   ")[0] for line in text.splitlines()[:13] if "predicted" not in line}
    assert lines["tokens/s"] == "1,240" and lines["a step"] == "2.40 s" and lines["peak memory"] == "2.0 GiB"
    assert lines["whole run"] == "54 m 00 s" and lines["cost"] == "$0.27" and lines["held-out loss"] == "1.569 -> 1.525"
    assert max(map(len, text.splitlines())) <= 72
    assert lines["steps"] == "20 in 1 m 02 s"
    said = " ".join(text.split())
    assert "which method learns best" in said and "corrected by what LoRA, QLoRA and Full" in said
    nothing = Figures(None, None, None, None, None)
    assert "cost" not in the_table(measured=replace(MEASURED, cost_usd=None), predicted=nothing)


def test_what_each_method_learned_in_the_same_time_is_beside_what_is_expected() -> None:
    measured = {"forgetting_short": "+1.8 % low", "task_short": "30 % (10 to 60)"}
    text = the_table(equal_seconds=40.0, train_seconds=41.0, **measured)
    lines = {line[:14].rstrip(): line[14:].split() for line in text.splitlines()[:20]}
    assert lines["  trained for"] == ["41", "s"] * 3
    assert lines["  measured"] == ["+1.8", "%", "low"] * 3 and lines["  task now"][:4] == ["30", "%", "(10", "to"]
    assert lines["quality"] and lines["forgetting"]
    assert "losses, forgetting and scores are compared at equal cost" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 72


def test_failures_and_changed_settings_are_sentences_below_the_table() -> None:
    nothing = Figures(None, None, None, None, None)
    text = the_table(steps=0, measured=nothing, failure="its process died (exit code 7) without a word", not_kept="x")
    assert "LoRA: its process died (exit code 7) without a word." in text.replace("\n", " ")
    assert "corrected by" not in text
    text = the_table(changed="micro-batch 4 -> 2", not_kept="settings changed").replace("\n", " ")
    assert "QLoRA ran out of memory and continued with less: micro-batch 4 -> 2." in text
    assert "No prediction is corrected by LoRA, QLoRA and Full: settings changed." in text


def test_a_method_that_does_not_fit_is_named_with_what_it_needs() -> None:
    comparison = a_comparison(replace(H100, here=True), LLAMA_70B)
    text = trials.table(comparison, [trial_plan.of(comparison, "qlora")], {"qlora": FOUND})
    assert "Full was not tried: it needs " in text and "LoRA was not tried" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--model", "8b", "--gpu", "4090", "--data", "rows.jsonl"), 2, "is not in this box"),
        (("--model", "1b", "--rows", "500", "--row-tokens", "400"), 2, "there is no data yet"),
        (("--model", "1b", "--data", "rows.jsonl"), 2, "1b has no weights here"),
        (("--model", "1b", "--data", "rows.jsonl", "--rent"), 2, "--trial can't be combined"),
    ],
)
def test_what_can_not_be_tried_is_refused_in_a_sentence(
    arguments: tuple[str, ...],
    code: int,
    words: str,
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_bytes(questions.read_bytes())
    assert run(["plan", *arguments, "--trial"]) == code
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1


def test_only_the_first_downloads_the_model() -> None:
    comparison = a_comparison(replace(H100, here=True), LLAMA_1B)
    large = replace(comparison.model, kind="hub", has_weights=True, download_bytes=50_000_000_000)
    first, second, _ = trying.trials(replace(comparison, model=large), None)
    assert first.seconds > 500 > second.seconds
    assert second.job.predicted is not None and second.job.predicted.uncorrected is not None
    assert second.job.predicted.uncorrected.overhead_seconds < 500


def test_the_figures_before_a_trial_agree_with_the_comparison() -> None:
    """Each method by itself, their sum, and the run that the comparison shows: every figure has one meaning."""
    comparison = a_comparison()
    found = [trial_plan.of(comparison, method) for method in METHODS]
    said = trying.about(found)
    for one in found:
        assert f"{rules.title(one.method)}, about {units.duration(one.seconds)}" in said
    assert f"about {units.duration(sum(one.seconds for one in found))} together" in said
    hours = comparison.methods["lora"].hours.point
    assert f"The whole run of LoRA is predicted to take {units.duration(hours * 3600)} for" in said
    short = a_comparison(set=("max_steps=3",))
    assert "These are all steps of the run" in trying.about([trial_plan.of(short, "lora")])


def test_no_trial_during_a_run(tiny_model: Path, questions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = a_comparison()
    with RunFolder.create(trial_plan.of(comparison, "lora").job).hold():
        assert run(["plan", "--model", str(tiny_model), "--data", str(questions), "--trial"]) == 2
    assert "is training on this device" in capsys.readouterr().err
