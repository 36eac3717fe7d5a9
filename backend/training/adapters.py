"""What an adapter trains besides LoRA's matrices, and how it starts from an earlier adapter's weights.

Modules trained in full (`modules_to_save`), embedding rows of added tokens, and DoRA's magnitudes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from backend.errors import UserError
from backend.model.adapter import unreadable
from backend.model.targets import NOT_OF_TEXT
from backend.model.whole_modules import listed
from backend.plan.plan import Plan
from backend.training.network import Network
from backend.training.start import Start

ROWS = ".token_adapter.trainable_tokens_delta"
"""How peft names the trained rows of an embedding or a head."""


def options(network: Network, plan: Plan, start: Start) -> dict[str, Any]:
    """Fields of peft's LoraConfig for what trains besides the matrices."""
    whole = _whole_modules(network, plan)
    rows = _rows(network, whole, start.token_ids)
    tied = is_tied(network) and any(module is network.get_input_embeddings() for module in whole.values())
    return {
        "use_dora": plan.use_dora,
        "use_rslora": plan.use_rslora,
        "modules_to_save": _as_peft_matches(network, whole) or None,
        "ensure_weight_tying": tied,
        "trainable_token_indices": rows or None,
    }


def is_tied(network: Network) -> bool:
    """Whether embedding and head share one matrix."""
    head = network.get_output_embeddings()
    return head is not None and getattr(head, "weight", None) is network.get_input_embeddings().weight


def _whole_modules(network: Network, plan: Plan) -> dict[str, Module]:
    """Full name -> module, for the names in `modules_to_save`. Raises UserError for an unknown name."""
    wanted = listed(plan.modules_to_save)
    found = {
        name: module
        for name, module in network.named_modules()
        if name.rpartition(".")[2] in wanted and not NOT_OF_TEXT.search(name) and _has_weights(module)
    }
    lacking = sorted(set(wanted) - {name.rpartition(".")[2] for name in found})
    if lacking:
        raise UserError(f"modules_to_save: this model has no module {lacking[0]!r} with weights", "modules_to_save")
    if is_tied(network):  # the embedding stands for both
        head = network.get_output_embeddings()
        found = {name: module for name, module in found.items() if module is not head}
    return found


def _has_weights(module: Module) -> bool:
    """Whether the module has weights of its own, not only in its submodules."""
    return next(module.parameters(recurse=False), None) is not None


def _as_peft_matches(network: Network, whole: dict[str, Module]) -> list[str]:
    """Last names if only these modules have them, else full ones: peft takes each module whose name ends with one."""
    last = sorted({name.rpartition(".")[2] for name in whole})
    meant = {name for name, _ in network.named_modules() if name.endswith(tuple(last))} if last else set()
    embedding = network.get_input_embeddings()
    shared = is_tied(network) and any(module is embedding for module in whole.values())
    return last if meant == set(whole) and not shared else sorted(whole)


def _rows(network: Network, whole: dict[str, Module], ids: tuple[int, ...]) -> dict[str, list[int]]:
    """Module -> rows for the added tokens: of the embedding and, if it has a matrix of its own, of the head."""
    if not ids:
        return {}
    modules = [network.get_input_embeddings()]
    if not is_tied(network):
        modules.append(network.get_output_embeddings())
    names = {id(module): name for name, module in network.named_modules()}
    return {names[id(x)]: list(ids) for x in modules if not any(x is y for y in whole.values())}


def shared_layers(model: Any) -> Iterator[tuple[Any, Any]]:
    """Adapted layers that share the weight of an earlier layer (Zamba's blocks), each with that earlier layer."""
    from peft.tuners.lora import LoraLayer

    first: dict[int, Any] = {}
    for module in model.modules():
        if isinstance(module, LoraLayer):
            earlier = first.setdefault(id(module.get_base_layer().weight), module)
            if earlier is not module:
                yield module, earlier


def share(model: Any) -> None:
    """Let layers that share a weight share its adapter, so that it can be merged into that weight."""
    for layer, earlier in shared_layers(model):
        for part in ("lora_A", "lora_B", "lora_magnitude_vector"):
            if "default" in getattr(earlier, part):
                getattr(layer, part)["default"] = getattr(earlier, part)["default"]


def fill(model: Any, folder: Path) -> None:
    """Put the weights of the adapter in `folder` into `model`, a PeftModel with the same layers.

    Raises UserError (field `adapter`) if a tensor is missing, left over or of another shape.
    """
    from peft import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

    try:
        given: dict[str, Tensor] = load_peft_weights(str(folder), device="cpu")
    except (OSError, ValueError, RuntimeError) as error:
        raise unreadable(folder, str(error).strip().split("\n")[0]) from None
    own: dict[str, Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
    lacking = sorted(name for name in own.keys() - given.keys() if not name.endswith(ROWS))  # those of new tokens
    surplus = sorted(given.keys() - own.keys())
    odd = sorted(name for name in own.keys() & given.keys() if own[name].shape != given[name].shape)
    reasons = ((lacking, "it has no tensor"), (surplus, "no layer takes its tensor"), (odd, "of another shape is its"))
    bad = next((name for name, x in given.items() if not bool(x.isfinite().all())), None)
    if bad:
        raise unreadable(folder, f"its tensor {bad} holds values that are no numbers")
    for names, what in reasons:
        if names:
            raise unreadable(folder, f"{what} {names[0]}")
    set_peft_model_state_dict(model, own | given)


def train_in(parameters: Iterable[torch.nn.Parameter], dtype: torch.dtype) -> None:
    """Keep what trains in `dtype`."""
    for parameter in parameters:
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
