"""`fttui plan --rent`: a list that fits the terminal, and the same as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.answers import METHODS
from backend.units import GIB
from tui.cli import run
from tui.commands import dry_run
from tui.commands.dry_run import Checked

JOB = ("--model", "8b", "--gpu", "4090", "--rows", "5000", "--row-tokens", "400", "--budget", "40")


def test_the_list_fits_80_columns_and_names_what_it_assumes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["plan", *JOB, "--rent"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "The cheapest that this version can train on: " in text
    assert any(line.startswith("* RTX 4090 ") for line in text.splitlines())
    assert not any(line.startswith("* 4 x RTX 4090") for line in text.splitlines())
    for words in (
        "No dated price",
        "not measured: no fttui run on several",
        "ROCm untried: planned",
        "float16: the card",
    ):
        assert words in text


def test_a_wide_terminal_has_the_memory_and_the_source_of_the_price(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["plan", *JOB, "--rent"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("* RTX 4090 "))
    assert "of 23.5 GiB" in line and "0.45  Vast" in line


def test_json_has_the_list_and_the_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *JOB, "--rent", "--json"]) == 0
    plan: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert plan["recommended"] == "qlora" and set(plan["methods"]) == {"lora", "qlora", "full"}
    first, last = plan["rent"][0], plan["rent"][-1]
    assert first["carries"] and first["cost_usd_low"] < first["cost_usd"] < first["cost_usd_high"]
    assert first["price_source"] and first["why_not"] == "" and first["peak_bytes"] <= first["memory_bytes"]
    assert not last["carries"] and last["hours"] is None and last["why_not"]
    assert run(["plan", *JOB, "--json"]) == 0
    assert "rent" not in json.loads(capsys.readouterr().out)


def test_a_dry_run_leaves_the_list_where_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Checked(GIB, GIB, "loss", {"weights": GIB}, {"loss": GIB}, 1.0)
    monkeypatch.setattr(dry_run, "checked", lambda *_: dict.fromkeys(METHODS, step))
    assert run(["plan", *JOB, "--rent", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("dry run ") and "* RTX 4090 " in text


def test_the_exit_code_is_that_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    big = ("--model", "70b", "--gpu", "4090", "--rows", "500", "--row-tokens", "400")
    assert run(["plan", *big]) == 3
    assert run(["plan", *big, "--rent"]) == 0
    assert run(["plan", *big, "--rent", "--budget", "0.01"]) == 3
    assert "No NVIDIA GPU with a dated price fits this job." in capsys.readouterr().out


def test_with_several_boxes_it_says_that_single_ones_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    boxes = ("--gpu", "H100:8", "--nodes", "2", "--node-gbps", "100")
    assert run(["plan", "--model", "8b", *boxes, "--rows", "5000", "--row-tokens", "400", "--rent"]) == 0
    assert "Each offer is a single box, not 2 as in this plan" in capsys.readouterr().out
