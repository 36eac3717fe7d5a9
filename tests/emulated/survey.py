"""Predicted memory against torch's own allocator, over plans of 1B to 8B: `make bench-cuda-emulated`.

    python -m tests.emulated.survey [--lines FILE]     runs what is not in FILE yet, and prints Markdown

Each plan is some steps of the trainer in an emulated box (tests/emulated/step.py). CUDA_PYTHON names a Python with a
CUDA build of torch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from tests.emulated import boxes
from tests.emulated.conftest import PYTHON, found_libraries

FAST, LEAN = "checkpointing=false chunked_loss=false", "checkpointing=true chunked_loss=true"
CHUNKED = "checkpointing=false chunked_loss=true"
IN_BACKWARD = "optimizer=adamw_8bit optimizer_in_backward=true weights_dtype=bfloat16 max_grad_norm=0"
PLANS = (
    f"A100 8B lora 2048 packed {FAST} attention=varlen",
    f"A100 8B qlora 4096 packed {LEAN} attention=varlen",
    f"A100 1B full 2048 packed {FAST} attention=varlen",
    f"H200 8B lora 4096 packed {LEAN} attention=varlen",
    f"A100 1B lora 2048 packed {FAST}",
    f"A100 1B lora 2048 packed {FAST} attention=varlen",
    "A100 1B qlora 2048 packed checkpointing=true chunked_loss=false attention=varlen",
    f"A100 8B lora 2048 packed {FAST}",
    f"A100 8B qlora 4096 packed {LEAN}",
    f"A100 8B lora 4096 rows {FAST}",
    f"A100 8B lora 4096 packed {LEAN}",
    f"A100 8B lora 8192 rows {LEAN}",
    f"A100 8B full 4096 rows {LEAN} {IN_BACKWARD}",
    f"A100 3B lora 2048 packed {CHUNKED}",
    "A100 3B lora 4096 packed checkpointing=true chunked_loss=false",
    f"A100 3B qlora 4096 rows {LEAN} micro_batch=2",
    f"A100 3B qlora 2048 packed {FAST}",
    f"A100 3B full 2048 rows {LEAN}",
    f"A100 3B full 2048 packed {CHUNKED} optimizer=adamw_8bit",
    f"A100 1B lora 4096 rows {LEAN} micro_batch=4",
    f"A100 1B lora 2048 rows {FAST} micro_batch=2",
    f"A100 1B lora 2048 rows {CHUNKED} precision=float32",
    f"A100 1B qlora 2048 packed {CHUNKED}",
    f"A100 1B full 2048 packed {FAST}",
    f"A100 1B full 4096 rows {LEAN}",
    f"A100 1B full 2048 packed {LEAN} {IN_BACKWARD}",
    f"H200 8B lora 2048 packed {CHUNKED}",
    "H200 8B lora 2048 rows checkpointing=true chunked_loss=false micro_batch=4",
    f"H200 8B qlora 2048 packed {FAST}",
    f"H200 8B qlora 2048 rows {LEAN} micro_batch=8",
    f"H200 8B full 2048 packed {LEAN} optimizer=adamw_8bit",
    "H200 3B full 4096 packed checkpointing=true chunked_loss=false",
    "H200 3B full 8192 packed checkpointing=true chunked_loss=false",
    "H200 8B full 4096 packed checkpointing=true chunked_loss=false optimizer=adamw_8bit",
    "A100 1B full 4096 packed checkpointing=true chunked_loss=false",
    f"H200 1B lora 1024 packed {CHUNKED}",
    f"H200 1B qlora 4096 packed {LEAN}",
    f"T4 1B lora 2048 rows {LEAN} precision=float16",
    f"T4 1B qlora 2048 rows {CHUNKED} precision=float16",
    f"T4 1B lora 2048 packed {CHUNKED} precision=float16",
)
"""Box, model, method, length, packed or rows, plan fields."""
GIB = 2**30
Found = dict[str, Any]


def main() -> None:
    """What is missing, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=Path, default=Path("emulated.jsonl"))
    lines = parser.parse_args().lines
    known = read(lines)
    for plan in PLANS:
        if plan not in known:
            known[plan] = _run(plan)
            with lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"plan": plan, **known[plan]}) + "\n")
    print(table(known))


def read(lines: Path) -> dict[str, Found]:
    """Plan -> what an earlier run found."""
    texts = lines.read_text(encoding="utf-8").splitlines() if lines.exists() else []
    return {found["plan"]: found for found in map(json.loads, texts)}


def table(known: dict[str, Found]) -> str:
    """Markdown with the median error and the worst reserved."""
    rows = [_row(plan, known[plan]) for plan in PLANS if "allocated" in known.get(plan, {})]
    good = [known[plan] for plan in PLANS if "allocated" in known.get(plan, {})]
    error = statistics.median(abs(x["predicted_allocated"] / x["allocated"] - 1) for x in good)
    worst = max(x["reserved"] / x["predicted_reserved"] - 1 for x in good)
    header = "| box | plan | allocated, GiB | predicted | error | reserved | predicted | over | launches a step |"
    said = f"{len(good)} plans; allocated: median error {error:.2%}; reserved at most {worst:+.1%} over the prediction."
    failed = [f"- {plan}: {known[plan]['failed']}" for plan in PLANS if "failed" in known.get(plan, {})]
    return "\n".join([header, "|---|---" + "|--:" * 7 + "|", *rows, "", said, *failed])


def _row(plan: str, found: Found) -> str:
    box, _, what = plan.partition(" ")
    allocated, reserved = found["allocated"], found["reserved"]
    cells = (
        *(box, what),
        *(f"{allocated / GIB:.2f}", f"{found['predicted_allocated'] / GIB:.2f}"),
        f"{found['predicted_allocated'] / allocated - 1:+.2%}",
        *(f"{reserved / GIB:.2f}", f"{found['predicted_reserved'] / GIB:.2f}"),
        f"{reserved / found['predicted_reserved'] - 1:+.1%}",
        f"{found['counted'].get('launches', 0):,}",
    )
    return f"| {' | '.join(cells)} |"


def _run(plan: str) -> Found:
    box, *arguments = plan.split()
    print(plan, file=sys.stderr, flush=True)
    done = boxes.run(boxes.BOXES[box], found_libraries(), [PYTHON, "-m", "tests.emulated.step", *arguments])
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not said:
        return {"failed": (done.stderr.strip().splitlines() or ["no word"])[-1][:300]}
    found: Found = json.loads(said[-1])
    return found


if __name__ == "__main__":
    main()
