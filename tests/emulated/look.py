"""What the parts that load no torch say in an emulated box: detection, doctor, plan, the wizard's first screen."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from backend import doctor, hardware
from backend.answers import Answers
from backend.planner import devices
from backend.planner.compare import compare
from tests.shapes import LLAMA_8B, model, rows


def main() -> dict[str, Any]:
    """Everything, as one JSON object."""
    found = hardware.detect()
    device = devices.here(found)
    doctor.four_bit = lambda *_: doctor.Check("4-bit training", "ok", "left out")
    seen = compare(Answers(model="8b", data="rows"), device, model(LLAMA_8B), rows(2000))
    return {
        "gpus": [f"{gpu.name} {gpu.profile}".strip() for gpu in found.gpus],
        "device": device.label,
        "gib": round(device.free_bytes / 2**30, 1),
        "expandable": device.expandable_segments,
        "precision": seen.methods["lora"].plan.precision,
        "obstacles": list(device.obstacles),
        "notes": list(found.notes),
        "doctor": {check.name: [check.state, check.detail] for check in doctor.checks(found)},
        "recommended": seen.recommended,
        "fits": {name: estimate.fit for name, estimate in seen.methods.items()},
        "reasons": list(seen.reasons),
        "wizard": asyncio.run(_first_screen()),
    }


async def _first_screen() -> str:
    from tests.tui import box

    app = box.app(detect=hardware.detect)
    async with app.run_test(size=(120, 40)) as pilot:
        await box.settled(pilot)
        return " ".join(" ".join(str(widget.render()) for widget in app.screen.query("#box *")).split())


if __name__ == "__main__":
    print(json.dumps(main()))
