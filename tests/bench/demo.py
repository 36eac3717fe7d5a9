"""The three methods on the demo, for real: losses, speed, peak memory, and one answer before and after.

    python -m tests.bench.demo [STEPS]

Each method trains in a process of its own; what it saved is then loaded with plain transformers and peft.
Prints Markdown for RESULTS.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

METHODS = ("lora", "qlora", "full")
QUESTION = "A farmer has 12 hens. Each lays 5 eggs a week. How many eggs do they lay in 3 weeks?"
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")

Events = list[dict[str, Any]]


def main() -> None:
    """Train, load, ask, print."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        rows = [row(method, train(method, steps)) for method in METHODS]
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, no GPU; {versions}\n")
    print("| method | steps | held-out loss before | half way | after | tokens/s | peak RSS | predicted | minutes |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    print("\n".join(table for table, _ in rows))
    print(f"\nAsked: {QUESTION}\n")
    for method, (_, answers) in zip(METHODS, rows, strict=True):
        for when, text in answers.items():
            print(f"- {method}, {when}: {' '.join(text.split())[:300]}")


def train(method: str, steps: int, *settings: str) -> Events:
    """Run the demo headless, evaluated half way unless `settings` (`key=value`) say otherwise, and return events."""
    flags = [part for setting in (f"max_steps={steps}", *(settings or half_way(steps))) for part in ("--set", setting)]
    command = [sys.executable, "-m", "tui", "train", "demo", "--method", method, "--json", *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def half_way(steps: int) -> tuple[str]:
    """Evaluate in the middle and at the end."""
    return (f"eval_every={steps // 2}",)


def row(method: str, events: Events) -> tuple[str, dict[str, str]]:
    """One line of the table, and the answers before and after."""
    finished = next(of(events, "run_finished"))
    started = next(of(events, "run_started"))
    losses = [event["loss"] for event in of(events, "eval")]
    predicted = started["foreseen"]["peak_bytes"]
    cells = (
        method,
        finished["step"],
        *(f"{loss:.4f}" for loss in (losses[0], losses[len(losses) // 2], losses[-1])),
        f"{finished['tokens_per_second']:.0f}",
        f"{finished['peak_bytes'] / 2**30:.2f} GiB",
        f"{predicted / 2**30:.2f} GiB",
        f"{finished['seconds'] / 60:.1f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |", ask(method, Path(finished["result"]))


def of(events: Events, name: str) -> Iterator[dict[str, Any]]:
    """Events of one name."""
    return (event for event in events if event["event"] == name)


def ask(method: str, result: Path) -> dict[str, str]:
    """Load base and result as any user of transformers and peft would, and ask both the same question."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from backend.model import demo

    tokenizer = AutoTokenizer.from_pretrained(result)
    base = AutoModelForCausalLM.from_pretrained(demo.folder())
    answers = {"before": answer(base, tokenizer)}
    if method == "full":
        tuned = AutoModelForCausalLM.from_pretrained(result)
    else:
        from peft import PeftModel

        tuned = PeftModel.from_pretrained(base, result)
    return answers | {"after": answer(tuned, tokenizer)}


def answer(model: Any, tokenizer: Any) -> str:
    """Greedy answer to the question, at most 80 tokens."""
    messages = [{"role": "user", "content": QUESTION}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**ids, max_new_tokens=80, do_sample=False)
    return str(tokenizer.decode(out[0][ids["input_ids"].shape[1] :], skip_special_tokens=True))


if __name__ == "__main__":
    main()
