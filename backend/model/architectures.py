"""What the installed transformers can load, from its source text: nothing of it is imported."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

_ENTRY = re.compile(r'\(\s*"([\w.-]+)",')
_ENCODERS = (
    "bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert reformer rembert roberta "
    "roberta-prelayernorm roc_bert roformer xlm xlm-roberta xlm-roberta-xl xlnet xmod"
)
_HALVES = (
    "bart bigbird_pegasus blenderbot blenderbot-small gemma4_assistant gemma4_unified_assistant git marian mbart moshi "
    "moss_transcribe_diarize musicgen musicgen_melody mvp pegasus plbart prophetnet trocr whisper"
)
NO_DECODERS = frozenset(f"{_ENCODERS} {_HALVES}".split())
"""Encoders, halves of encoder-decoders, models of sound, drafting heads: transformers lists them as causal too."""


_FROZEN = re.compile(
    r"self\.(\w+) = (?:torch\.)?nn\.Parameter\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*, requires_grad=False\)"
)


def is_wrapper(model_type: str) -> bool:
    """Whether it is loaded as a model of images and text; False if transformers is not here to ask."""
    return model_type in _mapped("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES")


def can_be_loaded(model_type: str) -> bool:
    """Whether it is a decoder of text, alone or in a wrapper; True if transformers is not here to ask."""
    causal = _mapped("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")
    return not causal or (model_type in causal and model_type not in NO_DECODERS) or is_wrapper(model_type)


@cache
def activations() -> frozenset[str]:
    """The activation functions that it has, by name; empty if transformers is not here to ask."""
    _, _, after = source("activations.py").partition("\nACT2CLS = {")
    return frozenset(re.findall(r'\n    "(\w+)":', after.partition("\n}")[0]))


@cache
def layer_types() -> frozenset[str]:
    """The kinds of blocks that `layer_types` may name, older ones too; empty if transformers is not here to ask."""
    text = source("configuration_utils.py")
    listed = text.partition("\nALLOWED_ATTN_LAYER_TYPES = (")[2].partition("\n)")[0]
    known = set(re.findall(r'"(\w+)"', listed))
    older = text.partition("\n_LEGACY_LAYER_TYPE_REMAP = {")[2].partition("\n}")[0]
    return frozenset(known | set(re.findall(r'"(\w+)":', older))) if known else frozenset()


def has_tokenizer(name: str) -> bool:
    """Whether it has this class of tokenizers, or nobody can say."""
    text = source("models", "auto", "tokenization_auto.py")
    return (
        not text or f'"{name.removesuffix("Fast")}"' in text or name in ("PreTrainedTokenizerFast", "TokenizersBackend")
    )


def packages(model_types: tuple[str, ...]) -> dict[str, str]:
    """Packages that these families can't do without and that transformers does not bring: import name -> pip's name."""
    listed = source("models", "auto", "modeling_auto.py")
    found: dict[str, str] = {}
    if any(f'("{name}", "TimmWrapperModel")' in listed for name in model_types if name):
        found |= {"timm": "timm", "PIL": "pillow"}
    if any(re.search(r"\n +from scipy", _modelling(name)) for name in model_types):
        found |= {"scipy": "scipy"}
    return found


class Kept(NamedTuple):
    """Last names of what is stored and does not train."""

    buffers: frozenset[str]
    """Buffers, which are not parameters."""
    frozen: frozenset[str]
    """Parameters that the family's own code keeps as they are."""


@cache
def kept(model_types: tuple[str, ...]) -> Kept:
    """What is stored and not trained, by the source text of the families' layers; nothing without transformers."""
    code = "\n".join(map(_modelling, model_types))
    named = re.findall(r"self\.(\w+) = (?:torch\.)?nn\.Buffer\(", code)
    named += re.findall(r'register_buffer\(\s*"(\w+)"', code)
    parameters = re.findall(r"self\.(\w+) = (?:torch\.)?nn\.Parameter\(", code)
    general = {"weight", "bias"}  # names that every layer uses
    return Kept(frozenset(named) - {*parameters, *general}, frozenset(_FROZEN.findall(code)) - general)


def _modelling(model_type: str) -> str:
    """The source text of the family's layers."""
    folder = model_type.replace("-", "_")
    if not folder.isidentifier():
        return ""
    names = (folder, folder.removesuffix("_text"))
    return next((text for name in names if (text := source("models", name, f"modeling_{name}.py"))), "")


@cache
def _mapped(name: str) -> frozenset[str]:
    _, _, after = source("models", "auto", "modeling_auto.py").partition(f"\n{name} = ")
    return frozenset(_ENTRY.findall(after.partition("\n)")[0]))


@cache
def source(*path: str) -> str:
    """The text of a file of transformers; empty if it is not installed, or has no such file."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return ""
    try:
        return Path(next(iter(spec.submodule_search_locations)), *path).read_text(encoding="utf-8")
    except OSError:
        return ""
