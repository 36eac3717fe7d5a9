"""Real counts of the families in presets/families.toml, for tests without torch:

    python -m tests.backend.model.family_counts > tests/backend/model/family_counts.json

Each of family_cases.py is built by transformers; its config.json as saved, its parameters, and those that the trainer
trains with adapters of rank 4 on all linear layers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.backend.model.family_cases import BASE, CASES

RANK = 4


def counted(family: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One family, for real."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from backend.plan.plan import Plan
    from backend.training import methods

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**BASE, **settings}))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    said = json.loads(model.config.to_json_string()) | {"architectures": [type(model).__name__]}
    plan = Plan(method="lora", rank=RANK, alpha=8.0, target_modules="all-linear")
    adapted = methods.with_adapters(model, "x", plan)
    trained = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    return {"config": said, "parameters": parameters, "trainable": trained}


def main() -> None:
    """Print all, a line each."""
    lines = ",\n".join(json.dumps(counted(*case), separators=(",", ":")) for case in CASES)
    sys.stdout.write(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
