"""The result of a wrapper of text and images: whole, in its stored type, with the files that servers want."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from backend.training.train import train
from tests.backend.training.helpers import new_run
from tests.bench import architecture_models
from tests.tiny import make_tokenizer

pytestmark = pytest.mark.torch


def test_it_holds_the_untouched_vision_weights_and_the_processor(tmp_path: Path) -> None:
    base, data = tmp_path / "base", tmp_path / "rows.jsonl"
    architecture_models.build("llava").to(torch.bfloat16).save_pretrained(base)
    make_tokenizer(base)
    (base / "preprocessor_config.json").write_text('{"image_processor_type": "CLIPImageProcessor"}')
    (base / "tokenizer.model").write_bytes(b"\n\x0b")
    rows = [{"instruction": f"How many are {n} and {n}?", "output": f"They are {2 * n}."} for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = new_run(base, data, "full", max_steps=1)

    assert train(run) == "done"
    before, after = load_file(base / "model.safetensors"), load_file(run.result / "model.safetensors")
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not [name for name in changed if "vision" in name or "projector" in name]
    config = json.loads((run.result / "config.json").read_text())
    assert (config["dtype"], config["text_config"]["dtype"], config["vision_config"]["dtype"]) == ("bfloat16",) * 3
    assert (run.result / "preprocessor_config.json").read_bytes() == (base / "preprocessor_config.json").read_bytes()
    assert (run.result / "tokenizer.model").read_bytes() == b"\n\x0b"
