"""A whole run of the trainer in an emulated box, on a small Llama without values; prints what its events say.

METHOD [field=value ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from backend.launch import launch
from backend.measured import ran_out
from backend.plan import fields
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.control import Inbox
from backend.run.event_log import EventTail
from backend.run.folder import RunFolder
from tests.emulated import child
from tests.tiny import make_model

LONG = " ".join(f"{number} apples and" for number in range(400))
SIZES: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "num_hidden_layers": 4,
    "max_position_embeddings": 4096,
}


def main(method: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """Train four steps or as many as asked for."""
    from backend import hardware
    from backend.planner import devices

    scratch = Path(tempfile.mkdtemp())
    model = make_model(scratch / "model", **SIZES)
    rows = scratch / "rows.jsonl"
    rows.write_text("".join(json.dumps({"question": f"{i}?", "answer": LONG}) + "\n" for i in range(64)))
    device = devices.here(hardware.detect())
    plan = Plan(
        **{
            "method": method,
            "quantization": "nf4" if method == "qlora" else "none",
            "precision": "bfloat16" if device.bf16 else "float16",
            "max_length": 512,
            "max_steps": 4,
            "effective_batch": 16,
            "eval_fraction": 0.1,
            **changes,
        }
    )
    uuids = device.uuids[: plan.processes]
    job = Job(str(model), str(model), str(rows), plan, device="cuda", device_name=device.name, device_uuids=uuids)
    folder = RunFolder.create(job)
    child.blind()
    state = launch.train(folder, Inbox(folder.commands_file))
    events = [*EventTail(folder.events_file).events()]
    return {
        "state": state,
        "ran_out": ran_out.file().exists(),
        "log": folder.log_file.read_text()[-3000:],
        **_said(events),
    }


def _said(events: list[Any]) -> dict[str, Any]:
    by_name: dict[str, list[Any]] = {}
    for event in events:
        by_name.setdefault(type(event).__name__, []).append(event)
    gpus = [event for event in by_name.get("GpuReading", []) if event.used_bytes is not None]
    measured = by_name.get("PhasesMeasured", [])
    return {
        "steps": len(by_name.get("StepDone", [])),
        "out_of_memory": [event.text for event in by_name.get("OutOfMemory", [])],
        "replanned": [event.text for event in by_name.get("Replanned", [])],
        "warned": [event.text for event in by_name.get("Logged", []) if event.level != "info"],
        "gpu": {"temperature": gpus[-1].temperature_c, "used": gpus[-1].used_bytes} if gpus else None,
        "peaks": {name: phase.peak_bytes for name, phase in measured[-1].phases.items()} if measured else {},
        "context": measured[-1].context_bytes if measured else None,
        "events": sorted(by_name),
    }


if __name__ == "__main__":
    changed = dict(text.split("=", 1) for text in sys.argv[2:])
    parsed = {key: fields.parse(key, value) for key, value in changed.items()}
    print(json.dumps(main(sys.argv[1], parsed)))
