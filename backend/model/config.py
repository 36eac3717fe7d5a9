"""config.json -> `ModelShape`, and the sentences for configurations that can't be fine-tuned here."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backend import constants
from backend.errors import UserError
from backend.model import architectures, config_faults, sizes
from backend.model.family import Config, Family, Sizes, families
from backend.model.family import of as family_of
from backend.model.shape import ModelShape

_FOLDER: Final = re.compile(r"[\w-]{1,80}")
"""What a folder of transformers can be called."""
_INSTRUCT: Final = re.compile(r"(?i)(^|[-_.])(instruct|it|chat|distill)($|[-_.])")


def shape_from_config(config: Config, name: str, *, has_files: bool = False) -> ModelShape:
    """The shape that config.json describes; for a multimodal model, the shape of its text part.

    Counts are exact for the families of presets/families.toml; any other dense causal model is treated as a Llama
    (see `is_exact`). With `has_files` the weights are here, and `stored_shape.fitted` will correct the counts: then any
    family is. Raises UserError if it is no causal language model, its sizes are missing or it is quantised.
    """
    check_trainable(config, name)
    text = text_part(config)
    own = family_of(text)
    text = sizes.usual_names(text) if own else sizes.guessed(sizes.usual_names(text), has_files=has_files)
    family = own or sizes.like_llama(text, name, has_files=has_files)
    known = sizes.with_defaults(family, text)
    sizes.check(known, name, family)
    config_faults.check_types(text_part(config), name)
    try:
        return _shape(Listed(family, sizes.of(family, known), known, bool(_tied(config, known))), name)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UserError(
            f"the sizes in config.json of {name} can't be read ({type(error).__name__}: {error}); take the config.json "
            "of a newer version of the model",
            "model",
        ) from None


def _shape(about: Listed, name: str) -> ModelShape:
    family, size, known = about.family, about.sizes, about.config
    per_token = size.get("num_experts_per_tok", 0) if family.expert else 0
    expert_blocks = family.expert_blocks(known) if family.expert else ()
    others = (*family.block_norms(size, known), *family.outside(size, known))
    return ModelShape(
        name=name,
        family=str(known.get("model_type", "")),
        hidden=size["hidden"],
        layers=size["layers"],
        heads=size["heads"],
        kv_heads=size["kv"] // size["head"],
        head_dim=size["head"],
        intermediate=per_token * size["moe"] + size["shared"] if family.expert else size["ff"],
        vocab=size["vocab"],
        tied=about.tied,
        context=_context(known),
        linears=tuple(x.linear for x in family.matrices(size, known)),
        norm_parameters=sum(x.elements for x in others if x.is_norm),
        other_parameters=sum(x.elements for x in others if not x.is_norm),
        experts=size["experts"] if family.expert else 0,
        experts_per_token=per_token,
        expert_linears=family.expert_linears(size, known),
        expert_blocks=None if len(expert_blocks) in (0, size["layers"]) else len(expert_blocks),
        router_parameters=sum(x.elements for x in family.block_routers(size, known)),
        sliding_window=_sliding_window(known),
        instruct=is_instruct(name),
        attention=family.attention,
    )


@dataclass(frozen=True)
class Listed:
    """What presets/families.toml says of a configuration's family, with its sizes."""

    family: Family
    sizes: Sizes
    config: Config
    """The text part, with the family's defaults."""
    tied: bool


def listed(config: Config) -> Listed | None:
    """The table's entry for a configuration that `shape_from_config` has accepted; None if it has none."""
    text = text_part(config)
    family = family_of(text)
    if family is None:
        return None
    known = sizes.with_defaults(family, sizes.usual_names(text))
    return Listed(family, sizes.of(family, known), known, bool(_tied(config, known)))


def text_part(config: Config) -> Config:
    """The part of a multimodal configuration that is the language model; the whole of any other."""
    text = config.get("text_config")
    if not isinstance(text, Mapping):
        return config
    if "model_type" in text:
        return text
    family = f"{config.get('model_type', '')}_text"  # gemma3 writes it, older multimodal configs leave it out
    return {"model_type": family if family in families() else str(config.get("model_type", "")), **text}


def is_multimodal(config: Config) -> bool:
    """Whether it has other parts besides text (images, sound)."""
    return text_part(config) is not config


def is_exact(config: Config) -> bool:
    """Whether its family is known, so that counts are exact; not if it is treated as a Llama."""
    return family_of(text_part(config)) is not None


def is_instruct(name: str) -> bool:
    """Whether its name says that it is tuned for chat already."""
    return _INSTRUCT.search(name.rsplit("/", 1)[-1]) is not None


def check_trainable(config: Config, name: str) -> None:
    """Raise UserError if this is not a causal language model, needs custom code, or is already quantised."""
    _check_causal(config, name)
    _check_code(config, name)
    _check_loadable(config, name)
    _check_tried(config, name)
    _check_pad(text_part(config), name)
    config_faults.check(text_part(config), name)
    _check_quantisation(config, name)


def quantisation(config: Any) -> str | None:
    """The method of a `quantization_config` at any depth of config.json; None if there is none."""
    if not isinstance(config, Mapping):
        return None
    own = config.get("quantization_config")
    if isinstance(own, Mapping):
        return str(own.get("quant_method") or "an unnamed method")
    if isinstance(config.get("compression_config"), Mapping):  # as compressed-tensors first called it
        return "compressed-tensors"
    return next((found for value in config.values() if (found := quantisation(value))), None)


def _check_quantisation(config: Config, name: str) -> None:
    method = quantisation(config)
    if method:
        raise UserError(
            f"{name} is already quantised ({method}) and can't be fine-tuned here; "
            "give the 16-bit original, QLoRA quantises it to 4 bits itself",
            "model",
        )


def _check_causal(config: Config, name: str) -> None:
    said = config.get("architectures") or ()
    if not isinstance(said, list | tuple):
        raise UserError(f"config.json of {name} says architectures {said!r}, which is no list of classes", "model")
    kinds = [str(kind) for kind in said]
    if not config.get("is_encoder_decoder") and any(kind.endswith(("ForCausalLM", "LMHeadModel")) for kind in kinds):
        return
    whole = any(kind.endswith("ForConditionalGeneration") for kind in kinds) and is_multimodal(config)
    unsaid = not kinds and str(text_part(config).get("model_type", "")) in families()
    if config.get("is_encoder_decoder") or not (whole or unsaid):
        halves = "is_encoder_decoder true" if config.get("is_encoder_decoder") and not whole else ""
        what = halves or ", ".join(kinds) or str(config.get("model_type") or "no architecture")
        raise UserError(
            f"{name} is not a causal language model (config.json says {what}); "
            "give one that generates text, such as a Llama, Qwen, Mistral or Gemma",
            "model",
        )


def _check_code(config: Config, name: str) -> None:
    kind = str(config.get("model_type", ""))
    if config.get("auto_map") and kind not in families() and not is_native(kind):
        raise UserError(
            f"{name} needs Python code from its own repository ({kind or 'auto_map'} is not in transformers), "
            "which fttui does not run; give a model whose architecture transformers has",
            "model",
        )


def _check_loadable(config: Config, name: str) -> None:
    kind = str(config.get("model_type") or "")
    if not kind:
        raise UserError(
            f"config.json of {name} has no model_type, which says how the model is loaded; take the config.json of a "
            "newer version of the model",
            "model",
        )
    if not config.get("auto_map") and not architectures.can_be_loaded(kind) and kind not in families():
        what = "has no decoder of text" if is_native(kind) else "is unknown to the transformers that is installed"
        raise UserError(
            f"{name} can't be fine-tuned here: its architecture {kind!r} {what}; "
            "give a model that generates text, or upgrade transformers if the architecture is newer",
            "model",
        )


def _check_tried(config: Config, name: str) -> None:
    """Refuse kinds of models for which training on text alone is not known to be right."""
    kind, common = str(config.get("model_type") or ""), constants.methods().common
    wraps = architectures.is_wrapper(kind) and is_multimodal(config) and kind not in common.wrappers
    if wraps or kind in common.not_tried:
        raise UserError(
            f"{name} can't be fine-tuned here: models of the kind {kind!r} were not tried, or did not come out right; "
            "give its language model by itself, or a model of another family",
            "model",
        )


def _check_pad(text: Config, name: str) -> None:
    pad, rows = text.get("pad_token_id"), text.get("vocab_size")
    if isinstance(pad, int) and isinstance(rows, int) and not -rows <= pad < rows:
        raise UserError(
            f"config.json of {name} says pad_token_id {pad}, but the embedding has {rows} rows (0 to {rows - 1}); "
            "set pad_token_id to a token that the model has, such as its eos_token_id",
            "model",
        )


def is_native(model_type: str) -> bool:
    """Whether the installed transformers has this architecture. Looks at its files; loads nothing."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations or not _FOLDER.fullmatch(model_type):
        return False
    folder = model_type.replace("-", "_")
    models = Path(next(iter(spec.submodule_search_locations))) / "models"
    try:
        return any((models / name).is_dir() for name in (folder, folder.removesuffix("_text")))
    except (OSError, ValueError):  # no name that a folder could have
        return False


def _tied(config: Config, known: Config) -> Any:
    """Whether input embedding and head are tied; a multimodal model's outer config decides, as in transformers."""
    outer = config.get("tie_word_embeddings") if is_multimodal(config) else None
    return known.get("tie_word_embeddings", False) if outer is None else outer


def _context(known: Config) -> int:
    """The longest sequence in tokens; 0 if it is not given. Yarn multiplies the length of the original training."""
    said = int(known.get("max_position_embeddings") or 0)
    rope = known.get("rope_scaling") or known.get("rope_parameters") or {}
    original, factor = rope.get("original_max_position_embeddings"), rope.get("factor")
    if "yarn" not in (rope.get("rope_type"), rope.get("type")) or not isinstance(original, int | float):
        return said
    return max(said, int(original * factor)) if isinstance(factor, int | float) else said


def _sliding_window(known: Config) -> int | None:
    window = known.get("sliding_window")
    return int(window) if window and known.get("use_sliding_window", True) else None
