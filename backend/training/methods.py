"""The only place where LoRA, QLoRA and full fine-tuning differ: how a model is loaded, what trains, how it is saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from backend.errors import UserError
from backend.model import architectures, as_loaded, stored
from backend.model.shape import HEAD
from backend.model.targets import NOT_OF_TEXT, is_mixture, takes_adapter
from backend.plan.plan import Plan
from backend.training import adapter_products, adapters, auto, grouped_keys, load_check, older_names, token_rows
from backend.training.attention import rows
from backend.training.network import Network, decoder
from backend.training.parallel import sharding
from backend.training.parallel.execution import Execution
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.precision import adapter_dtype, compute_dtype, weight_dtype
from backend.training.start import NOTHING, Start


@dataclass(frozen=True)
class Loaded:
    """A model ready to train."""

    model: Any
    """What is saved: the PeftModel, or the causal language model itself."""
    network: Network
    """The causal language model, adapters in place: what runs."""
    attention: str
    """The attention implementation: the plan's, or `eager` if the family has nothing faster."""
    stored_dtype: torch.dtype
    """The type that the files store the weights in; a full model is saved in it again."""

    def trainable(self) -> dict[str, Parameter]:
        """Trainable parameters by name; tied ones once."""
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def weights(self, ranks: Ranks) -> dict[str, Tensor]:
        """The trainable weights by name, for a checkpoint. All ranks gather shards in the first rank's host memory."""
        if not sharding.is_sharded(self.network):
            return dict(self.trainable())
        return _gathered(self.trainable(), ranks, None)


def load(folder: Path, base_name: str, execution: Execution, start: Start = NOTHING) -> Loaded:
    """Load the model in `folder` for the plan's method, straight to its device and number format.

    With several ranks a full model is sharded, any other is replicated. `base_name` (folder or hub id) is what an
    adapter will name as its base; `start` is what it starts from. Raises UserError if the folder holds no loadable
    causal language model.
    """
    plan = execution.plan
    grouped_keys.install()
    config = auto.config(folder)
    kernel = attention(config, plan)
    if plan.method == "full" and execution.ranks.count > 1:
        network = _sharded(folder, config, kernel, execution)
    else:
        network = _network(folder, plan, execution.device, kernel)
    if plan.method == "full":
        train_text(network)
        model = network
    else:
        model = with_adapters(network, base_name, plan, start)
        if not plan.compile:  # torch.compile combines the products itself
            adapter_products.fuse(network, join=True)
    set_checkpointing(network, execution)
    network.train()
    dtype = getattr(torch, stored.dtype(folder))
    return Loaded(model=model, network=network, attention=kernel, stored_dtype=dtype)


def train_text(network: Network) -> None:
    """Make every parameter trainable except those of a wrapper's other parts, which text never reaches.

    What the family's own code freezes is frozen again: Laguna's balance of experts, an initial state. Loading the
    files makes it trainable (transformers 5.23).
    """
    frozen = architectures.kept(as_loaded.model_types(network.config.to_dict())).frozen
    for name, parameter in network.named_parameters():
        is_kept = NOT_OF_TEXT.search(name) is not None or name.rpartition(".")[2] in frozen
        parameter.requires_grad_(parameter.requires_grad and not is_kept)


def set_checkpointing(network: Network, execution: Execution) -> None:
    """Recompute activations in the backward pass, from checkpoints on the device or in host memory; or keep them."""
    plan = execution.plan
    if plan.checkpointing:
        # Saving and restoring the random state of every block costs the host time, and matters to dropout only.
        network.activation_checkpointing_enable(
            activation_checkpointing_kwargs={"use_reentrant": False, "preserve_rng_state": drops(network, plan)},
            offload=plan.activation_offload and execution.device != "cpu",
        )
    else:
        network.activation_checkpointing_disable()


RANDOM = ("drop", "jitter", "noise")
"""A setting with one of these in its name can make a model's forward pass random in training."""


def drops(network: Network, plan: Plan) -> bool:
    """Whether a forward pass in training is random: by the plan's dropout, or by the model's own configuration."""
    if plan.dropout and plan.method != "full":
        return True
    config = network.config
    settings = {**vars(config), **vars(getattr(config, "text_config", None) or config)}
    numbers = {name: value for name, value in settings.items() if isinstance(value, int | float)}
    return any(value for name, value in numbers.items() if any(part in name for part in RANDOM))


def save(loaded: Loaded, plan: Plan, folder: Path, ranks: Ranks = ALONE) -> None:
    """Write what plain peft (adapters) or plain transformers (a full model) loads. No network is needed.

    The first rank writes; if the model is sharded, the others have to call `take_part_in_saving`.
    """
    if plan.method != "full":
        loaded.model.save_pretrained(folder, save_embedding_layers=False)
        return
    loaded.model.save_pretrained(folder, state_dict=_as_stored(loaded, ranks))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _say_type(config, str(loaded.stored_dtype).removeprefix("torch."))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    older_names.add(folder, Path(loaded.network.config._name_or_path))


def _say_type(config: dict[str, Any], name: str) -> None:
    """Name the stored type in a configuration and its parts; transformers writes the type it trained in."""
    config["dtype"] = name
    for part in config.values():
        if isinstance(part, dict) and "dtype" in part:
            _say_type(part, name)


def take_part_in_saving(loaded: Loaded, plan: Plan, ranks: Ranks) -> None:
    """Send this rank's shards to the one that writes."""
    if plan.method == "full":
        _as_stored(loaded, ranks)


def _as_stored(loaded: Loaded, ranks: Ranks) -> dict[str, Tensor]:
    """Weights by name in the first rank's host memory, in the type they came in; tied ones stay one."""
    return _gathered(loaded.model.state_dict(keep_vars=True), ranks, loaded.stored_dtype)


def _gathered(values: Mapping[str, Tensor], ranks: Ranks, weights: torch.dtype | None) -> dict[str, Tensor]:
    """All `values` unsharded in the first rank's host memory, gathered one by one; the other ranks keep nothing.

    `weights`: the type that weights are converted to; buffers keep theirs.
    """
    made: dict[int, Tensor] = {}
    for x in values.values():
        if id(x) not in made:
            value = sharding.whole(x)
            turned = weights if isinstance(x, Parameter) and x.is_floating_point() else None
            made[id(x)] = value.to("cpu", turned or x.dtype) if ranks.is_first else value.new_empty(0)
            del value
    return {name: made[id(x)] for name, x in values.items()}


def saved_bytes(loaded: Loaded, plan: Plan) -> int:
    """What `save` writes, without the few kilobytes of settings."""
    full = plan.method == "full"
    return sum(x.numel() * (loaded.stored_dtype if full else x.dtype).itemsize for x in loaded.trainable().values())


def attention(config: Any, plan: Plan) -> str:
    """The plan's implementation, or the next best of the family (soft-capped attention, as Gemma 2's: `eager`)."""
    kind = auto.model_class(config)
    if plan.attention == "varlen" and kind is not None and not getattr(kind, "_supports_attention_backend", False):
        return attention(config, replace(plan, attention="sdpa"))  # its own table of implementations, as Falcon's
    supports = {
        "sdpa": "_supports_sdpa",
        "varlen": "_supports_sdpa",
        "flash_attention_2": "_supports_flash_attn",
    }.get(plan.attention)
    return plan.attention if kind is None or supports is None or getattr(kind, supports, True) else "eager"


def implementation(attention: str) -> str:
    """The name by which transformers knows an attention."""
    if attention != "varlen":
        return attention
    rows.register()
    return rows.NAME


def _network(folder: Path, plan: Plan, device: str, attention: str) -> Any:
    options: dict[str, Any] = {"dtype": weight_dtype(plan), "attn_implementation": implementation(attention)}
    if plan.quantization == "nf4" and plan.method == "qlora":
        options["quantization_config"] = _nf4(plan)
    if device != "cpu" or "quantization_config" in options:
        options["device_map"] = {"": device}
    options["dropout"] = plan.objective == "sft"  # else reference and answers would be random
    network = _checked(folder, options)
    if device == "cpu" and "quantization_config" in options:
        _keep_4bit_layout(network)
    return network


def _checked(folder: Path, options: dict[str, Any]) -> Any:
    """The model, with every tensor loaded from the files. Raises UserError if any is not."""
    # Tensors of another shape are then listed in the report; otherwise an error is raised that names none.
    options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    network, report = auto.load(folder, **options)
    load_check.refuse_incomplete(folder, report)
    load_check.refuse_unusable(folder, network)
    return network


def _sharded(folder: Path, config: Any, attention: str, execution: Execution) -> Any:
    """The first rank reads the weights into host memory; the others have their shapes only."""
    ranks = execution.ranks
    options: dict[str, Any] = {"dtype": weight_dtype(execution.plan), "attn_implementation": implementation(attention)}
    if ranks.is_first:
        network = _checked(folder, options)
    else:
        with torch.device("meta"):
            network = auto.of(config).from_config(config, **options)
    network.generation_config = ranks.of_first(network.generation_config)
    sharding.shard(network, execution)
    return network


def _nf4(plan: Plan) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype(plan),
    )


def _keep_4bit_layout(network: Network) -> None:
    """Forbid bitsandbytes' repacking for CPUs with avx512_bf16.

    It repacks a layer the first time it runs in eval mode, never back, and gradients are silently wrong from then on
    (bitsandbytes 0.50.2); one evaluation is enough.
    """
    import bitsandbytes

    for module in network.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def with_adapters(network: Network, base_name: str, plan: Plan, start: Start = NOTHING) -> Any:
    """A PeftModel around `network`, its adapters in the plan's type; `base_name` is what they name as their base."""
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=plan.rank,
        lora_alpha=int(plan.alpha) if plan.alpha == int(plan.alpha) else plan.alpha,
        lora_dropout=plan.dropout,
        target_modules=_targets(network, plan),
        bias="none",
        **adapters.options(network, plan, start),
    )
    model = get_peft_model(network, config)
    model.peft_config["default"].base_model_name_or_path = base_name
    adapters.share(model)
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False  # autocast does it, without a float32 copy of every input
    if start.token_ids:
        token_rows.replace_forward(model)
    adapters.train_in(model.parameters(), adapter_dtype(plan))
    if start.adapter is not None:
        adapters.fill(model, start.adapter)
    return model


def _targets(network: Network, plan: Plan) -> list[str]:
    """Names of the layers that get an adapter: linear ones inside the decoder, never a vision tower.

    The head gets one only if `lm_head` is listed. Last names such as `q_proj` if they mean just these layers, which
    other tools read best; else full names. Raises UserError for a name that is no linear layer of the decoder.
    """
    from transformers.pytorch_utils import Conv1D

    blocks = decoder(network)
    prefix = next(name for name, module in network.named_modules() if module is blocks)
    mixture = is_mixture(name for name, _ in network.named_parameters())
    linears = {
        f"{prefix}.{name}".lstrip("."): name.rpartition(".")[2]
        for name, module in blocks.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and takes_adapter(f"{prefix}.{name}", mixture=mixture)
    }
    head = network.get_output_embeddings()
    linears |= {name: HEAD for name, module in network.named_modules() if module is head}
    chosen = _named(linears, plan.target_modules)
    last = {linears[name] for name in chosen}
    meant = {name for name, _ in network.named_modules() if name.rpartition(".")[2] in last}
    return sorted(last) if meant == set(chosen) else chosen


def _named(linears: Mapping[str, str], target_modules: str) -> list[str]:
    """Full names of the linear layers whose last name, or full name, is listed."""
    wanted = {name.strip() for name in target_modules.split(",")}
    if "all-linear" in wanted:
        wanted = wanted - {"all-linear"} | (set(linears.values()) - {HEAD})
    unknown = sorted(wanted - set(linears.values()) - set(linears))
    if unknown:
        known = ", ".join(sorted(set(linears.values()) - {HEAD}))
        raise UserError(
            f"target_modules: {unknown[0]!r} is no linear layer in the blocks of this model; it has {known}",
            "target_modules",
        )
    return [full for full, last in linears.items() if last in wanted or full in wanted]
