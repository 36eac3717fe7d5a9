"""Servers that hold a GPU are recognised by their command; a server's name in a trainer's arguments doesn't count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.hardware.servers import server_of
from backend.hardware.types import GpuProcess
from backend.planner import devices
from tests.backend.planner.test_devices import RTX_4090


@pytest.mark.parametrize(
    ("name", "command", "expected"),
    [
        ("ollama", ["/usr/local/bin/ollama", "runner", "--model", "/x"], "Ollama"),
        ("python3", ["/opt/venv/bin/python3", "/opt/venv/bin/vllm", "serve", "org/m"], "vLLM"),
        ("VLLM::EngineCor", [], "vLLM"),
        ("python", ["python", "-m", "vllm.entrypoints.openai.api_server"], "vLLM"),
        ("llama-server", ["./llama-server", "-m", "x.gguf"], "llama.cpp"),
        ("python", ["python", "-m", "sglang.launch_server"], "SGLang"),
        ("python", ["python", "train.py", "--base", "vllm-project/llama"], None),
        ("python", ["python", "train.py", "a", "b", "c", "d", "ollama"], None),
        ("Xorg", [], None),
    ],
)
def test_which_processes_are_servers(name: str, command: list[str], expected: str | None) -> None:
    assert server_of(name, command) == expected


def test_it_is_named_with_its_memory_and_what_frees_it() -> None:
    held = replace(RTX_4090, processes=(GpuProcess(12, "ollama", 5 * 2**30, server="Ollama"),))
    (said,) = devices._users(held)
    assert said == (
        f"GPU {held.index} is in use by the Ollama server (pid 12), 5.0 GiB; `ollama stop MODEL` frees it, "
        "or `fttui queue add` waits."
    )
