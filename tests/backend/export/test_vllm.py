"""The command that serves a result with vLLM."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backend.errors import UserError
from backend.export.export import export
from backend.run.folder import RunFolder
from tests.backend.export.helpers import found, silent, without_result


def run(method: Any = "lora", job: dict[str, Any] | None = None, **changes: Any) -> RunFolder:
    folder = without_result(Path("/models/base"), method=method, job=job, **changes)
    folder.result.mkdir()
    (folder.result / ("config.json" if method == "full" else "adapter_config.json")).write_text("{}")
    (folder.result / "chat_template.jinja").write_text("{{ messages }}")
    return folder


@pytest.mark.parametrize(("rank", "largest"), [(4, "8"), (8, "8"), (9, "16"), (100, "128"), (256, "256"), (300, "320")])
def test_an_adapter_over_its_base(rank: int, largest: str) -> None:
    folder = run(rank=rank, job={"hub_id": "org/base"})
    done = export(found(folder), "vllm", None, silent)
    words = shlex.split(done.command)
    assert words[:4] == ["vllm", "serve", "org/base", "--enable-lora"]
    assert words[words.index("--max-lora-rank") + 1] == largest
    assert words[words.index("--lora-modules") + 1] == f"{folder.name}={folder.result}"
    assert words[words.index("--chat-template") + 1] == str(folder.result / "chat_template.jinja")
    script = done.folder / "serve.sh"
    assert script.stat().st_mode & 0o100
    assert shlex.split(script.read_text().splitlines()[-1]) == ["exec", *words]


def test_a_whole_model() -> None:
    folder = run("full")
    words = shlex.split(export(found(folder), "vllm", None, silent).command)
    assert words == ["vllm", "serve", str(folder.result), "--served-model-name", folder.name]


def test_a_rank_that_vllm_does_not_serve() -> None:
    with pytest.raises(UserError, match="rank 512 at the most, this one has 600"):
        export(found(run(rank=600)), "vllm", None, silent)


def test_no_name_gets_out_of_the_script() -> None:
    folder = run("qlora")
    odd = folder.path.with_name("a'$(touch x)\n'; touch y #")
    folder.path.rename(odd)
    done = export(found(RunFolder(odd)), "vllm", None, silent)
    trial = odd / "vllm"
    trial.write_text('#!/bin/sh\nprintf "%s" "$6"\n')
    trial.chmod(0o755)
    script = done.folder / "serve.sh"
    env = {"PATH": f"{odd}:/usr/bin:/bin"}
    said = subprocess.run(["/bin/sh", str(script)], env=env, cwd=odd, capture_output=True, text=True, check=True)
    assert not (odd / "x").exists() and not (odd / "y").exists()
    assert said.stdout in ("4", "--lora-modules", f"{odd.name}={odd / 'result'}")
