"""DPO and KTO against TRL on one batch: `python -m tests.bench.preferences --trl /path/to/python`.

The python has TRL (1.16) in an environment of its own. Both sides get the same ids, the same base and the same adapter,
in float32. Printed are both losses, and the largest difference of a gradient over the largest value of that gradient.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from backend.data.preferences import Preference
from backend.training.parallel.execution import Execution
from backend.training.preference import PreferenceLoss, preference_batches
from tests.backend.training.helpers import loaded, marked, plan, some_pairs
from tests.bench.preference_trl import BETA
from tests.tiny import make_model

ROWS = 8


def main() -> None:
    """Print a line for each objective."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trl", required=True, help="the python of an environment that has TRL")
    python = parser.parse_args().trl
    for objective in ("dpo", "kto"):
        with tempfile.TemporaryDirectory() as folder:
            print(compared(objective, python, Path(folder)))


def compared(objective: Any, python: str, folder: Path) -> str:
    """Both sides on one batch."""
    model = make_model(folder / "model")
    chosen = plan("lora", objective=objective, preference_beta=BETA, packing=False, micro_batch=ROWS)
    it, rows = loaded(model, chosen), some_pairs(ROWS)
    it.model.save_pretrained(folder / "adapter")
    if objective == "kto":
        rows = marked(rows)
    (folder / "rows.json").write_text(json.dumps([_for_trl(row, rows[at - 1]) for at, row in enumerate(rows)]))
    script = Path(__file__).with_name("preference_trl.py")
    command = [python, "-P", str(script), objective, str(model), str(folder / "adapter"), str(folder / "rows.json")]
    subprocess.run([*command, str(folder / "theirs.safetensors")], check=True, capture_output=True, text=True)
    theirs = load_file(folder / "theirs.safetensors")
    loss, ours = _ours(it, rows, Execution(chosen, "cpu"))
    worst = max(_difference(value, _of(theirs, name)) for name, value in ours.items())
    return (
        f"{objective}: loss {loss:.7f}, TRL's {float(theirs['loss']):.7f}; {len(ours)} gradients, the largest "
        f"difference {worst:.1e} of the largest value"
    )


def _ours(it: Any, rows: list[Preference], execution: Execution) -> tuple[float, dict[str, torch.Tensor]]:
    loss_of, total = PreferenceLoss(it.network, execution), 0.0
    batches = preference_batches(rows, execution)
    loss_of.begin(batches)
    for batch in batches:
        part = loss_of(batch) / len(rows)
        part.backward()  # type: ignore[no-untyped-call]
        total += float(part.detach())
    return total, {name: p.grad for name, p in it.trainable().items() if p.grad is not None}


def _for_trl(row: Preference, before: Preference) -> dict[str, Any]:
    """Ids as TRL's prepared data sets name them."""
    (prompt, answer), (_, other) = _divided(row, 0), _divided(before, 0)
    if row.good is None:
        return {"prompt_ids": prompt, "chosen_ids": answer, "rejected_ids": _divided(row, 1)[1]}
    return {"prompt_ids": prompt, "completion_ids": answer, "label": row.good, "KL_completion_ids": other}


def _divided(row: Preference, side: int) -> tuple[list[int], list[int]]:
    ids, scored = row.rows[side]
    start = int(scored.argmax())
    return ids[:start].tolist(), ids[start:].tolist()


def _of(theirs: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return next(value for key, value in theirs.items() if key.endswith(name))


def _difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))


if __name__ == "__main__":
    main()
