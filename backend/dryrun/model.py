"""The model that the trainer would run for a plan, without weights: on the meta device, with fake parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import Parameter

from backend.errors import UserError
from backend.model import known
from backend.model.info import ModelInfo
from backend.plan.plan import Plan
from backend.training import adapter_products, auto, methods
from backend.training.network import Network
from backend.training.parallel.execution import Execution
from backend.training.precision import compute_dtype, weight_dtype
from backend.training.start import Start


def config(model: ModelInfo) -> Any:
    """Transformers' configuration: from the model's folder, else from presets/models.toml.

    Raises UserError if neither knows it, and for a mixture of experts.
    """
    from transformers import AutoConfig

    if model.shape.experts:
        raise UserError(
            f"a dry run of {model.reference} is not possible: in a mixture of experts the sizes depend on where tokens "
            "are routed; plan it without --dry-run",
            "dry_run",
        )
    if model.folder is not None and (model.folder / "config.json").exists():
        found = auto.config(model.folder).get_text_config(decoder=True)
        found.vocab_size = model.shape.vocab  # new tokens have rows too
        return found
    entry = known.by_name(model.hub_id or model.shape.name) or known.by_name(model.shape.name)
    if entry is None:
        raise UserError(
            f"a dry run needs the config.json of {model.reference}, which is not on this box; "
            "give a folder that holds it",
            "dry_run",
        )
    settings = {key: value or None if key == "sliding_window" else value for key, value in entry[0].config.items()}
    settings["vocab_size"] = model.shape.vocab
    return AutoConfig.for_model(settings.pop("model_type"), **settings)


def shortened(settings: Any, layers: int) -> Any:
    """The same configuration with `layers` blocks."""
    changed: dict[str, Any] = {"num_hidden_layers": layers}
    kinds = getattr(settings, "layer_types", None)
    if kinds:
        changed["layer_types"] = list(kinds)[:layers]
    return type(settings)(**{**settings.to_dict(), **changed})


def build(settings: Any, plan: Plan, name: str, added_tokens: int = 0) -> Network:
    """The network that the trainer would run for `plan`, on the meta device; `added_tokens` of its rows are new."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(
            settings,
            dtype=weight_dtype(plan),
            attn_implementation=methods.implementation(methods.attention(settings, plan)),
        )
        if plan.method == "full":
            network.requires_grad_(True)
        else:
            if plan.method == "qlora":
                from backend.dryrun.packed import pack

                pack(network, compute_dtype(plan))
            start = Start(tuple(range(settings.vocab_size - added_tokens, settings.vocab_size)))
            network = methods.with_adapters(network, name, plan, start).base_model.model
            adapter_products.fuse(network, join=False)
    methods.set_checkpointing(network, Execution(plan, "cpu"))
    built: Network = network.train()
    return built


def swap_for_fakes(network: Network, device: str) -> None:
    """Replace every parameter and buffer by a fake tensor of its size; call this inside FakeTensorMode.

    Modules that shared a parameter share its fake.
    """
    made: dict[int, Parameter] = {}
    for module in network.modules():
        for name, x in module._parameters.items():
            if x is not None:
                if id(x) not in made:
                    fake = torch.empty(x.shape, dtype=x.dtype, device=device)
                    made[id(x)] = Parameter(fake, requires_grad=x.requires_grad)
                module._parameters[name] = made[id(x)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)
