"""The ten-minute script's questions fit its time, go on after a failure, and their answers become a table."""

from __future__ import annotations

import json
import sys
import time
import zipfile
from collections.abc import Callable
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
    assert gpu_table.markdown([*map(json.dumps, LINES), '{"part": "ro']) == text, "half a line is left out"
    for table in (part for part in text.split("\n\n") if part.startswith("|")):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_what_is_worth_most_comes_first() -> None:
    asked = list(gpu.questions("small", "big", "8B", 2048))
    assert [x.part for x in asked[:3]] == ["relief"] * 3
    packed = next(i for i, x in enumerate(asked) if x.part == "default")
    assert packed < next(i for i, x in enumerate(asked) if x.part == "row")
    assert max(x.seconds for x in asked) <= 120, "one that hangs leaves most of ten minutes to the others"


@pytest.mark.parametrize("unknown", [False, True])
def test_what_a_box_does_not_tell_is_named(unknown: bool) -> None:
    line = {"part": "box", "asked": [], "gpu": "H100", "versions": "torch 2", "memory": 2**37, "torch_memory": 2**36}
    told = {"segments_grow": True, "attention": {"causal": "flash"}}
    told["four_bit"] = {"output_error": 0.001, "gradient_error": 0.002}
    text = gpu_table.markdown([json.dumps(line | (dict.fromkeys(told, "not known") if unknown else told))])
    assert text.startswith("H100, torch 2; torch can have 64.00 of 128.00 GiB. Attention by ")
    known = "causal: flash; segments: grow in place; a 4-bit layer's errors: output 0.10%, gradient 0.20%."
    asked = "not known; segments: not known; a 4-bit layer's errors: not known."
    assert text.endswith(asked if unknown else known)


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_predicted_for_a_row_is_the_one_sequence_that_it_trains(packed: bool) -> None:
    plan = gpu_parts.plan_of("lora", "fast", 2048, packed)
    load = gpu_parts.work_of(plan)
    assert throughput.passes_per_step(plan, load) == 1
    assert throughput.one_pass(plan, load).tokens == 2048


PART = r"""
import json, os, subprocess, sys, time
kind = sys.argv[1]
if kind == "fails":
    sys.exit("Traceback\nRuntimeError: CUDA out of memory")
if kind == "leaves":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
if kind == "noisy":
    print("{no object}", flush=True)
    os.write(1, bytes([255, 10]))
if kind != "hangs":
    print(json.dumps({"kind": kind, "home": os.environ["FTTUI_HOME"], "seconds": os.environ["GPU_PART_SECONDS"]}))
    print("[done]", flush=True)
if kind in ("hangs", "stays"):
    print("waits", file=sys.stderr, flush=True)
    time.sleep(60)
if kind == "crashes":
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Asks a part of this test's own."""
    (tmp_path / "a_part.py").write_text(PART)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "segments.json").write_text("{}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def ask(part: str, seconds: float = 30) -> dict[str, Any]:
        question = gpu.Question(part, seconds=seconds)
        return gpu._answer(question, time.monotonic() + 60, parts="a_part", home=tmp_path / "home")

    return ask


def test_a_failure_and_a_silence_are_answers(answer: Callable[..., dict[str, Any]]) -> None:
    assert answer("fails")["failed"] == "exit code 1: RuntimeError: CUDA out of memory"
    assert answer("hangs", 1)["failed"] == "no answer after 1 s: waits"


@pytest.mark.parametrize("kind", ["leaves", "noisy", "stays", "crashes"])
def test_what_was_answered_counts_however_it_ends(kind: str, answer: Callable[..., dict[str, Any]]) -> None:
    """A process that is left behind delays nothing; nor does a library that hangs or crashes at its end."""
    said = answer(kind, 1 if kind == "stays" else 30)
    assert said["kind"] == kind
    assert said["took"] < 5


def test_a_run_has_a_home_of_its_own(tmp_path: Path, answer: Callable[..., dict[str, Any]]) -> None:
    said = answer("default")
    assert Path(said["home"]) != tmp_path / "home" and not Path(said["home"]).exists()
    assert (said["seconds"], answer("row")["home"]) == ("30", str(tmp_path / "home"))


def ask_all(failing: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The lines of a run whose questions are answered at once, those with an argument in `failing` by a failure."""
    lines = tmp_path / "lines"
    monkeypatch.setattr(sys, "argv", ["gpu", "--try", "--lines", str(lines)])
    monkeypatch.setattr(gpu, "TRIAL", ("1B", "8B", 768))

    def answered(question: gpu.Question, **_: object) -> dict[str, Any]:
        return {"failed": "no"} if failing & {question.part, *question.arguments} else {}

    monkeypatch.setattr(gpu, "_answer", answered)
    monkeypatch.setattr(gpu_table, "markdown", lambda _: "the table")
    gpu.main()
    return [json.loads(line) for line in lines.read_text().splitlines()]


def test_all_is_asked_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the questions about the box itself fail: another torch may not support them."""
    found = ask_all({"box", "relief", "row"}, tmp_path, monkeypatch)
    assert [x["part"] for x in found] == ["box", "make", *(x.part for x in gpu.questions("s", "b", "8B", 768))]


def test_a_model_that_cannot_be_made_is_replaced_by_the_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ask_all({"8B"}, tmp_path, monkeypatch)
    assert [x["asked"][0] for x in found if "failed" in x] == ["8B"]
    asked = [x["asked"] for x in found if x["part"] in ("default", "shapes", "row")]
    assert all(x[0].endswith("/small") and "8B" not in x for x in asked)


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
