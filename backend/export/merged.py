"""The merged model as plain transformers loads it: weights, tokenizer, chat template, generation settings, card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from backend.data.chat.template import Refusal
from backend.errors import UserError
from backend.export import card, generation, place
from backend.export.paced import paced
from backend.export.source import ExportSource, Say
from backend.hardware import host
from backend.model import headers
from backend.training.failure import not_importable

LOG = "export.log"
"""What libraries say while weights are merged, in the run's folder."""
_NOT_OF_A_MODEL = ("adapter_", "README", "training_args", "config.json", "generation_config.json")
_WEIGHTS = (".safetensors", headers.INDEX)
_EXTRA_BYTES = 64_000_000
"""Tokenizer and card."""
_BYTES_FLOAT32 = 4
_MOST_TOKENS = 32
"""Most tokens of the question that both models are asked."""


def disk_bytes(source: ExportSource, base: Path) -> int:
    """What the merged model takes on disk; a full run's weights are linked if possible."""
    weights = headers.read(base if source.is_adapter else source.result)
    return (weights.bytes if weights else 0) + _EXTRA_BYTES


def write(source: ExportSource, base: Path, target: Path, say: Say, *, check: bool = True) -> None:
    """Fill `target`. Raises UserError if the base can't be merged into, or the result is wrong."""
    for path in sorted(source.result.iterdir()):
        if path.is_file() and not path.name.startswith(_NOT_OF_A_MODEL) and not path.name.endswith(_WEIGHTS):
            shutil.copyfile(path, target / path.name)
    checked = _merge_quietly(source, base, target, say, check=check) if source.is_adapter else _link(source, target)
    settings = base if (base / generation.FILE).is_file() else target
    generation.write(settings if source.is_adapter else source.result, source.tokenizer, target)
    card.write(source, checked, target)


def _link(source: ExportSource, target: Path) -> str:
    for path in (source.result / "config.json", *source.result.glob("*.safetensors*")):
        place.copy_or_link(path, target / path.name)
    return ""


def _merge_quietly(source: ExportSource, base: Path, target: Path, say: Say, *, check: bool) -> str:
    """`_merge`, with the libraries' warnings in the run's export.log."""
    try:
        from backend.training.quiet import libraries_to

        with libraries_to(source.folder.path / LOG):
            return _merge(source, base, target, say, check=check)
    except ImportError as error:
        raise UserError(not_importable(error), "run") from None


def _merge(source: ExportSource, base: Path, target: Path, say: Say, *, check: bool) -> str:
    """Merge and compare; returns the comparison in a sentence."""
    from backend.training.merging import merge, whole

    _refuse_quantized(base)
    updates = merge.streamed(base, source.result)
    if updates is None:
        say(f"merging into {base.name} in memory")
    else:
        if check:
            whole.refuse_little_ram(base, 1, "; --unchecked merges without comparing")
        say(f"merging {len(updates)} matrices into {base.name}")
    merge.write(base, source.result, updates, target, paced(say, "merged {done:,} of {total:,} matrices"))
    return _compared(source, base, target, say) if check else "The merge was not checked."


def _compared(source: ExportSource, base: Path, target: Path, say: Say) -> str:
    from backend.export import check

    say("comparing it with base and adapter")
    weights = headers.read(base)
    has_room = weights is not None and weights.parameters * _BYTES_FLOAT32 <= host.ram().available_bytes
    found = check.compare(base, source.result, target, _question(source), in_float32=has_room)
    dtype = str(found.stored).removeprefix("torch.")
    over = " (as it is stored, not in the 4 bits it was trained over)" if source.job.plan.method == "qlora" else ""
    figures = (
        f"the logits of the merged model and of base{over} with adapter differ by {found.difference:.2%} "
        f"(weights in {dtype}); the adapter changes the base's by {found.change:.1%}"
    )
    if not found.is_rounding:
        raise UserError(f"the merge went wrong and is left out: {figures}; serve the adapter, --to vllm", "run")
    say(figures)
    return f"Checked: {figures}."


def _question(source: ExportSource) -> list[int]:
    """Tokens of what the run asked its model, as the model is asked."""
    tokenizer = source.tokenizer
    text = source.past.samples[0].prompt if source.past.samples else "What is the capital of France?"
    try:
        asked = tokenizer.render([{"role": "user", "content": text}], add_generation_prompt=True)
    except Refusal:
        asked = text
    return tokenizer.encode(asked).ids[:_MOST_TOKENS]


def _refuse_quantized(base: Path) -> None:
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    if "quantization_config" in config:
        fix = "train over the 16-bit model to merge, or serve the adapter (--to vllm)"
        raise UserError(f"the base {base.name} holds quantised weights, which nothing is merged into; {fix}", "run")
