"""The ten-minute script's questions fit its time, go on after a failure, and their answers become a table."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from backend.planner import throughput
from tests.bench import gpu, gpu_carry, gpu_parts, gpu_table

FIGURES: dict[str, Any] = {
    "tokens_per_second": 7960.4,
    "predicted_tokens_per_second": None,
    "allocated": 30 * 2**30,
    "predicted_allocated": 31 * 2**30,
    "reserved": 32 * 2**30,
    "predicted": 33 * 2**30,
}
LINES = [
    {"part": "relief", "asked": ["s", "lora", "0.12"], "state": "done", "out_of_memory": 2, "changed": ["a", "b"]},
    {"part": "row", "asked": ["b", "8B", "lora", "fast", "2048", "packed"], **FIGURES},
    {"part": "default", "asked": ["b", "qlora", "8"], "state": "done", "plan": {"micro_batch": 4}, **FIGURES},
    {"part": "shapes", "asked": ["b", "8B", "2048", "without"], "new": [1.0, 2.0], "known": [0.5, 0.25]},
    {"part": "row", "asked": ["b", "8B", "full"], "failed": "no answer after 120 s"},
]


def test_answers_become_tables() -> None:
    text = gpu_table.markdown(json.dumps(line) for line in LINES)
    assert "| lora | done | 2 | a; b |" in text
    assert "| 8B lora, fast, 2048, packed | 7,960 | ? | 30.00 | 31.00 | 32.00 | 33.00 |" in text
    assert "| qlora: micro_batch=4 | 7,960" in text
    assert "| without | 1.00, 2.00 | 0.50, 0.25 |" in text
    assert text.endswith("- not answered: row 8B full: no answer after 120 s")
    for table in (part for part in text.split("\n\n") if part.startswith("|")):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_what_is_worth_most_comes_first() -> None:
    asked = list(gpu.questions("small", "big", "8B", 2048))
    assert [x.part for x in asked[:3]] == ["relief"] * 3
    packed = next(i for i, x in enumerate(asked) if x.part == "default")
    assert packed < next(i for i, x in enumerate(asked) if x.part == "row")
    assert max(x.seconds for x in asked) <= 120, "one that hangs leaves most of ten minutes to the others"


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_predicted_for_a_row_is_the_one_sequence_that_it_trains(packed: bool) -> None:
    plan = gpu_parts.plan_of("lora", "fast", 2048, packed)
    load = gpu_parts.work_of(plan)
    assert throughput.passes_per_step(plan, load) == 1
    assert throughput.one_pass(plan, load).tokens == 2048


def test_a_failure_and_a_silence_are_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if command[-1] == "hangs":
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nRuntimeError: CUDA out of memory\n")

    monkeypatch.setattr(subprocess, "run", run)
    assert gpu._answer(gpu.Question("row", ("hangs",), 7), 10**9) == {"failed": "no answer after 7 s"}
    assert "CUDA out of memory" in gpu._answer(gpu.Question("row"), 10**9)["failed"]


def test_without_a_gpu_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--lines", str(tmp_path / "lines")])
    monkeypatch.setattr(gpu, "_answer", lambda *_, **__: {"gpu": None, "reason": "There is no NVIDIA driver library."})
    gpu.main()
    assert capsys.readouterr().out == "not measured: There is no NVIDIA driver library.\n"


def test_the_table_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    monkeypatch.setattr(sys, "argv", ["gpu", "--table", str(lines)])
    gpu.main()
    assert "| lora | done | 2 | a; b |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("bitsandbytes/libbitsandbytes_cuda130.so", True),
        ("bitsandbytes/libbitsandbytes_cpu.so", True),
        ("bitsandbytes/libbitsandbytes_cuda128.so", False),
        ("bitsandbytes/libbitsandbytes_rocm62.so", False),
        ("bitsandbytes/nn/modules.py", True),
        ("psutil/_psutil_linux.abi3.so", True),
    ],
)
def test_an_archive_has_the_libraries_of_one_cuda(name: str, needed: bool, tmp_path: Path) -> None:
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(name, b"content")
    gpu_carry.unpack(wheel, tmp_path / "site", "130")
    assert (tmp_path / "site" / name).exists() is needed


def test_an_archive_has_what_the_script_imports_in_the_tested_versions() -> None:
    wanted = list(gpu_carry.requirements(gpu_carry.LACKING))
    assert all("==" in requirement for requirement in wanted)
    assert {"transformers", "peft", "bitsandbytes", "msgspec"} <= {x.partition("==")[0] for x in wanted}
    names = set(gpu_carry.tracked())
    assert {"tests/bench/gpu.py", "tests/bench/gpu_parts.py", "backend/training/train.py", "tests/tiny.py"} <= names
    assert any(name.startswith("presets/demo/") for name in names)
