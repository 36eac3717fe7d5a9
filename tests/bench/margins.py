"""DPO on the demo, on preferences made of GSM8K: `python -m tests.bench.margins [STEPS]`.

Each of 64 questions has its own answer as the better one and that of the next question as the worse: easy to tell
apart, so that the margin shows that training works, and says nothing about the taste of people. Prints the held-out
margin and accuracy by step for RESULTS.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from backend import paths
from tests.bench.demo import of

PAIRS = 64
SETTINGS = ("objective=dpo", "effective_batch=4", "eval_fraction=0.125", "learning_rate=5e-5", "eval_every=4")


def main() -> None:
    """Train and print."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in pairs()))
        flags = [part for setting in (*SETTINGS, f"max_steps={steps}") for part in ("--set", setting)]
        command = [sys.executable, "-m", "tui", "train", "--model", "demo", "--data", str(path), "--method", "lora"]
        done = subprocess.run([*command, "--json", *flags], stdout=subprocess.PIPE, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    print("| step | held-out loss | reward margin | on the right side |\n|--:|--:|--:|--:|")
    for event in of(events, "eval"):
        print(
            f"| {event['step']} | {event['loss']:.4f} | {event['reward_margin']:.3f} | {event['reward_accuracy']:.0%} |"
        )
    (end,) = of(events, "run_finished")
    print(f"\n{end['seconds'] / 60:.1f} minutes, peak {end['peak_bytes'] / 2**30:.2f} GiB")


def pairs() -> list[dict[str, str]]:
    """Questions of the demo's data with two answers."""
    rows = [json.loads(line) for line in (paths.SHIPPED / "demo" / "gsm8k.jsonl").read_text().splitlines()[:PAIRS]]
    return [
        {"prompt": row["question"], "chosen": row["answer"], "rejected": rows[at - 1]["answer"]}
        for at, row in enumerate(rows)
    ]


if __name__ == "__main__":
    main()
