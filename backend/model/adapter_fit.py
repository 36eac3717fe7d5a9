"""Whether an adapter belongs to a model: the name of its base, and the sizes of its matrices."""

from __future__ import annotations

import re

from backend import paths
from backend.errors import UserError
from backend.model import as_loaded, expected, hub, stored
from backend.model.adapter import PREFIX, A, Adapter, B
from backend.model.config import is_multimodal
from backend.model.info import ModelInfo
from backend.model.local import read_config
from backend.model.shape import HEAD, ModelShape
from backend.model.whole_modules import has_vocabulary

_BLOCK = re.compile(r"\.(\d+)\.")


def refuse_other_model(adapter: Adapter, model: ModelInfo) -> None:
    """Raise UserError (field `adapter`) if the adapter was trained over another model."""
    _refuse_other_name(adapter, model)
    _refuse_other_layers(adapter, model)
    for name in adapter.shapes:
        if name.endswith(A):
            _refuse_other_sizes(adapter, name.removesuffix(A), model.shape)
        elif name.endswith(".weight") and ".lora_" not in name:
            _refuse_other_vocabulary(adapter, name, model.shape)


def unsure(adapter: Adapter, model: ModelInfo) -> str:
    """A sentence if the adapter's base could be told by its sizes only; else empty."""
    is_compared = paths.expanded(adapter.base).is_dir() or bool(model.hub_id and hub.HUB_ID.fullmatch(adapter.base))
    if is_compared or not adapter.base:
        return ""
    said = f"The adapter names {adapter.base} as its base"
    return f"{said}: its sizes fit {model.shape.name}, the weights can't be compared."


def _refuse_other_name(adapter: Adapter, model: ModelInfo) -> None:
    """Refuse another base: hub ids are compared as names, two folders by their weights, as one may be a copy."""
    base = paths.expanded(adapter.base)
    is_folder = adapter.base and base.is_dir()
    if is_folder and model.folder is not None and model.has_weights:
        same = base.resolve() == model.folder.resolve() or stored.fingerprint(base) == stored.fingerprint(model.folder)
    elif not is_folder and hub.HUB_ID.fullmatch(adapter.base) and model.hub_id:
        same = adapter.base.lower() == model.hub_id.lower()
    else:  # nothing to compare: the sizes decide
        same = True
    if not same:
        raise _other(adapter, model.shape, f"it was trained over {adapter.base}")


def _refuse_other_layers(adapter: Adapter, model: ModelInfo) -> None:
    """Refuse an adapter if the model has no layer with a name of the adapter's, as with `_orig_mod.` before each."""
    if model.folder is None or not model.has_weights or is_multimodal(config := read_config(model.folder)):
        return
    modules = [name.removesuffix(A).removeprefix(PREFIX) for name in adapter.shapes if name.endswith(A)]
    known = expected.with_prefix(config, as_loaded.of_folder(model.folder, config))
    if modules and not any(module == HEAD or f"{module}.weight" in known for module in modules):
        raise _other(adapter, model.shape, f"it has matrices for {modules[0]}, which the model lacks")


def _refuse_other_sizes(adapter: Adapter, module: str, shape: ModelShape) -> None:
    last, inputs = module.rpartition(".")[2], adapter.shapes[module + A][1]
    outputs = adapter.shapes.get(module + B, (0,))[0]
    wanted = {(x.inputs, x.outputs) for x in shape.linears if x.name == last}
    if last == HEAD:
        wanted = {(shape.hidden, shape.vocab)}
    block = _BLOCK.search(module)
    name = module.removeprefix(PREFIX)
    if not wanted or (block and int(block[1]) >= shape.layers):
        raise _other(adapter, shape, f"it has matrices for {name}, which the model lacks")
    if {(inputs, outputs), (outputs, inputs)}.isdisjoint(wanted):
        has = " or ".join(f"{one[0]}x{one[1]}" for one in sorted(wanted))
        raise _other(adapter, shape, f"its {name} is {inputs}x{outputs}, the model's {has}")


def _refuse_other_vocabulary(adapter: Adapter, name: str, shape: ModelShape) -> None:
    """Refuse an embedding or a head that was trained in full with rows for other tokens."""
    sizes, module = adapter.shapes[name], name.removesuffix(".weight").removeprefix(PREFIX)
    if has_vocabulary(module.rpartition(".")[2]) and len(sizes) == 2 and sizes != (shape.vocab, shape.hidden):
        has = f"{shape.vocab}x{shape.hidden}"
        raise _other(adapter, shape, f"its {module} is {sizes[0]}x{sizes[1]}, the model's {has}")


def _other(adapter: Adapter, shape: ModelShape, why: str) -> UserError:
    fix = f"give its base with --model: {adapter.base}" if adapter.base else "give the model that it was trained over"
    return UserError(f"adapter: {adapter.folder} does not belong to {shape.name} ({why}); {fix}", "adapter")
