"""What the installed transformers can load, from its source text: nothing of it is imported."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

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


_ANY_TOKENIZER = ("PreTrainedTokenizerFast", "TokenizersBackend")


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
    _, _, after = _source("activations.py").partition("\nACT2CLS = {")
    return frozenset(re.findall(r'\n    "(\w+)":', after.partition("\n}")[0]))


def has_tokenizer(name: str) -> bool:
    """Whether it has this class of tokenizers, or nobody can say."""
    text = _source("models", "auto", "tokenization_auto.py")
    return (
        not text or f'"{name.removesuffix("Fast")}"' in text or name in ("PreTrainedTokenizerFast", "TokenizersBackend")
    )


@cache
def _mapped(name: str) -> frozenset[str]:
    _, _, after = _source("models", "auto", "modeling_auto.py").partition(f"\n{name} = ")
    return frozenset(_ENTRY.findall(after.partition("\n)")[0]))


def _source(*path: str) -> str:
    """The text of a file of transformers; empty if it is not installed."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return ""
    try:
        return Path(next(iter(spec.submodule_search_locations)), *path).read_text(encoding="utf-8")
    except OSError:
        return ""
