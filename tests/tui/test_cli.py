"""The commands: what they print, what they refuse in one sentence, and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend import paths
from backend.launch.queue import waiting
from backend.plan import fields
from backend.run.event_log import EventLog
from backend.run.events import RunFinished, RunStarted, StepDone
from backend.run.folder import RunFolder
from tests.backend.run.test_folder import JOB
from tests.terminal.tmux import ROOT
from tui.cli import run
from tui.commands.app import COMMANDS

EIGHT_B = ("--model", "8b", "--gpu", "4090", "--rows", "5000", "--row-tokens", "400")


def test_plan_json_holds_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *EIGHT_B, "--budget", "40", "--json"]) == 0
    plan: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert plan["recommended"] == "qlora"
    assert plan["reasons"]
    assert plan["model"]["parameters"] == 8_030_261_248
    assert plan["data"]["rows"] == 5000
    assert plan["data"]["tokens"] == 2_000_000
    assert plan["data"]["truncated_fraction"] == 0.0
    assert plan["hardware"]["name"].startswith("RTX 4090")
    assert set(plan["methods"]) == {"lora", "qlora", "full"}
    for seen in plan["methods"].values():
        assert seen["hours_low"] < seen["hours"] < seen["hours_high"]
        assert seen["cost_usd_low"] < seen["cost_usd"] < seen["cost_usd_high"]
        assert seen["tokens_per_second"] > 0
        assert sum(seen["peak_bytes_by_category"].values()) == seen["peak_bytes"] > seen["peak_allocated_bytes"]
        assert seen["settings"]["max_length"] == 512
        assert seen["quality_ceiling"] and seen["forgetting_risk"] and seen["peak_phase"]
    assert plan["methods"]["qlora"]["fits"] is True
    assert plan["methods"]["full"]["fits"] is False
    assert plan["methods"]["full"]["why_not"]
    assert plan["methods"]["lora"]["trainable_parameters"] == 41_943_040


def test_plan_without_a_fit_exits_3_and_still_prints(capsys: pytest.CaptureFixture[str]) -> None:
    model = ("--model", "70b", "--gpu", "4090", "--rows", "100", "--row-tokens", "100")
    assert run(["plan", *model, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["recommended"] is None
    assert run(["plan", *EIGHT_B, "--budget", "0.01"]) == 3
    assert "pays for none of them" in capsys.readouterr().out


def test_the_table_names_the_choice_and_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *EIGHT_B]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("QLoRA *" in line for line in lines)
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["epochs"] == ["3", "3", "2"]
    assert " ".join(rows["steps"]) == "900, 16 rows each 900, 16 rows each 300, 32 rows each"
    assert max(map(len, lines)) <= 80


def test_every_figure_follows_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    def lora(*more: str) -> dict[str, Any]:
        run(["plan", *EIGHT_B, "--json", *more])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["methods"]["lora"]
        return found

    base, ranked = lora(), lora("--set", "rank=64")
    assert ranked["trainable_parameters"] == 4 * base["trainable_parameters"]
    assert ranked["settings"]["rank"] == 64
    assert ranked["origin"]["rank"] == "you"
    assert lora("--epochs", "1")["steps"] < base["steps"]
    assert lora("--price", "9")["cost_usd"] > base["cost_usd"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("plan",), "--model"),
        (("plan", "--model", "8b"), "--data"),
        (("plan", *EIGHT_B, "--data", "demo"), "--rows and --row-tokens can't be given together with --data demo"),
        (("plan", "--model", "8b", "--data", "demo", "--rows", "9"), "--rows can't be given together with --data demo"),
        (("plan", *EIGHT_B, "--set", "learnign_rate=1"), "did you mean 'learning_rate'"),
        (("plan", *EIGHT_B, "--budget", "-4"), "budget: -4 won't do; it takes a number of at least 0 (USD)"),
        (("plan", *EIGHT_B, "--deadline", "0"), "deadline: 0 won't do; it takes a number above 0 (hours)"),
        (("plan", *EIGHT_B, "--variants", "0"), "variants: 0 won't do; it takes a whole number of at least 1"),
        (("plan", *EIGHT_B, "--epochs", "ten"), "epochs: 'ten' won't do; it takes a number\n"),
        (("plan", *EIGHT_B, "--shift", "huge"), "shift: 'huge' won't do; it takes format, domain or deep\n"),
        (("plan", "--model"), "--model needs a value after it"),
        (("export", "x"), "`fttui export` needs --to"),
        (("presets", "foo"), "'foo' is one word too many; `fttui presets --help`"),
        (("presets", "show"), "`fttui presets show` needs NAME"),
        (("presets", "copy", "demo"), "`fttui presets copy` needs NEW"),
        (("plna",), "there is no command 'plna'; did you mean 'plan'?"),
        (
            ("zzz",),
            "there are plan, data, train, sweep, watch, stop, pause, checkpoint, change, resume, runs",
        ),
        (("plan", *EIGHT_B, "--budgett", "4"), "--budget"),
        (
            ("plan", "--model", "demo", "--data", "demo", "--set", "objective=dpo"),
            "dpo needs a better and a worse",
        ),
        (
            ("plan", "--model", "demo", "--data", "demo", "--set", "objective=kto"),
            "kto needs a column of true",
        ),
        (("plan", "--model", "8b", "--gpu", "nobody", "--rows", "1", "--row-tokens", "2"), "nobody"),
        (("plan", "--model", "8b", "--gpu", "A100", "--rows", "1", "--row-tokens", "2"), "A100 SXM 80GB"),
        (("plan", "--model", "/nowhere/at/all", "--rows", "1", "--row-tokens", "2"), "/nowhere/at/all"),
        (("plan", "--preset", "dmo"), "did you mean 'demo'"),
        (("train", "dmo"), "did you mean 'demo'"),
        (("train", "--model", "8b", "--data", "demo"), "no weights here"),
        (("train", *EIGHT_B), "not in this box"),
        (("plan", *EIGHT_B, "--epochs", "2", "--set", "epochs=5"), "epochs is set twice, to 5 and 2"),
        (("train", "demo", "--method", "lora", "--set", "method=full"), "method is set twice, to full and lora"),
        (("launch", "--on", "slurm", *EIGHT_B, "--method", "full", "--set", "objective=dpo"), "take lora or qlora"),
        (("train", "demo", "--output", "/proc/nothing"), "output: '/proc/nothing' won't do"),
        (("watch",), "no run has been made"),
        (("stop", "x"), "no run is called 'x'"),
        (("stop", "-x"), "there is no option -x; `fttui stop --help` lists them"),
        (("stop", ""), "the run's name is empty"),
        (("chat", " "), "the run's name is empty"),
        (("export", "", "--to", "trl"), "the run's name is empty"),
        (("train", ""), "no preset is called ''"),
        (("--preset", ""), "no preset is called ''"),
        (("--preset",), "--preset needs a value after it; `fttui --help` says which"),
        (("plan", "--model", "8b", "--rows", "10.7", "--row-tokens", "2"), "rows: '10.7' won't do; it takes a whole"),
        (("data", "demo", "--row", "1", "--row", "1.5"), "row: '1.5' won't do; it takes a whole number"),
        (("data", "demo", "--max-length", "9" * 30), "it takes a whole number from 2 to 4,294,967,295"),
        (("chat", "--tokens", "1.5"), "tokens: '1.5' won't do; it takes a whole number"),
        (("resume", "--processes", "1.5"), "processes: '1.5' won't do; it takes a whole number"),
        (("queue", "move", "1", "1.5"), "place: '1.5' won't do; it takes a whole number"),
        (("queue", "move", "1", "x"), "place: 'x' won't do; it takes a whole number"),
        (("resume",), "no run has been made"),
        (("presets", "show", "dmo"), "did you mean 'demo'"),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, tuple) else "",
)
def test_wrong_input_is_one_sentence_and_exit_2(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.startswith("fttui: ")
    assert said.err.count("\n") == 1
    assert not said.out


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.jsonl", None, "missing.jsonl"),
        ("empty.jsonl", b"", "empty"),
        ("binary.jsonl", bytes(range(256)) * 20, "binary.jsonl"),
        ("broken.jsonl", b'{"question":"a","answer":"b"}\n{"question": oops}\n', "line 2"),
        ("odd.xyz", b"something", "odd.xyz"),
    ],
)
def test_wrong_data_is_one_sentence_and_exit_2(
    name: str, content: bytes | None, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert run(["plan", "--model", "8b", "--gpu", "4090", "--data", str(path)]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_runs_and_status_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs"]) == 0
    assert "no run" in capsys.readouterr().out
    folder = RunFolder.create(JOB)
    log = EventLog(folder.events_file)
    log.write(RunStarted(total_steps=4, method="lora"))
    log.write(StepDone(step=2, total_steps=4, loss=1.25))
    assert run(["runs"]) == 0
    assert "interrupted" in capsys.readouterr().out
    assert run(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == folder.name
    assert run(["watch", "--once"]) == 0
    assert "step 2/4  loss 1.2500" in capsys.readouterr().out
    assert run(["stop"]) == 2
    assert "not being trained" in capsys.readouterr().err


def test_a_command_reaches_a_live_run(capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(JOB)
    with folder.hold():
        for command in ("stop", "pause", "checkpoint"):
            assert run([command]) == 0
    sent = [json.loads(line)["event"] for line in folder.commands_file.read_text().splitlines()]
    assert sent == ["stop", "pause", "checkpoint"]


def test_presets_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["presets"]) == 0
    assert "solo-qlora" in capsys.readouterr().out
    assert run(["presets", "list"]) == 0
    assert "solo-qlora" in capsys.readouterr().out
    assert run(["presets", "show", "solo-qlora"]) == 0
    assert 'method = "qlora"' in capsys.readouterr().out
    assert run(["presets", "path"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_dir()


def test_a_long_preset_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    text = "# a long comment\n" * 2_000 + "rank = 8\n"
    (paths.own_presets() / "long.toml").write_text(text)
    assert run(["presets", "show", "long"]) == 0
    assert capsys.readouterr().out == text


def test_a_done_run_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(JOB)
    EventLog(folder.events_file).write(RunFinished(state="done"))
    assert run(["resume"]) == 2
    assert "is done" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "data", "train", "watch", "resume", "runs", "presets", "export", "doctor"])
def test_help_has_examples_and_every_plan_field(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "For example:" in said
    assert f"fttui {command}" in said.split("For example:")[1]
    if command in ("plan", "train"):
        missing = [name for name in fields.NAMES if name not in said and name.replace("_", "-") not in said]
        assert not missing


def test_change_takes_no_empty_list_of_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["change", "--empty-set"]) == 2
    assert "--empty-set" in capsys.readouterr().err  # an option that is not there, and no run that is not training


def test_help_is_wrapped_to_the_terminal_and_not_as_in_the_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert run(["queue", "add", "--help"]) == 0
    said = capsys.readouterr().out
    assert "LoRA and QLoRA go on from it; for full, or with another rank, it is merged into the model first." in said
    assert "[default: format]" in said and "[default: ()]" not in said and "[default: False]" not in said
    assert run(["queue", "--help"]) == 0
    said = capsys.readouterr().out
    assert "for a minute. A run on the CPU" in said and "\n    fttui queue list\n    fttui queue move" in said


@pytest.mark.parametrize(
    ("arguments", "instead"), [((), "`fttui plan` and `fttui train`"), (("watch",), "--plain` prints its lines")]
)
@pytest.mark.parametrize(("terminal", "why"), [(False, "needs a terminal"), (True, "can't show a screen (TERM=dumb)")])
def test_without_a_screen_the_error_names_the_reason_and_an_alternative(
    arguments: tuple[str, ...],
    instead: str,
    terminal: bool,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    RunFolder.create(JOB)
    monkeypatch.setattr(os, "isatty", lambda _fd: terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("fttui: ") and why in said and instead in said


def test_the_list_of_commands_says_what_each_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    for name, (_, line) in COMMANDS.items():
        assert f"│ {name} " in said
        assert line.split()[0] in said


def test_letters_that_the_terminals_encoding_lacks_are_replaced(fttui_home: Path) -> None:
    own = paths.own_presets() / "mine.toml"
    own.write_text('description = "für 東京"\n', encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "tui", "presets"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "für ??".encode("latin-1") in done.stdout


def test_a_run_that_waits_in_the_queue_is_queued(capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(JOB)
    waiting.add(folder)
    for words in (["runs"], ["watch", "--once"], ["watch", "--plain"]):
        assert run(words) == 0
        said = capsys.readouterr().out
        assert "queued" in said and "interrupted" not in said
