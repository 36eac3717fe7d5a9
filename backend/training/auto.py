"""Which class of transformers loads a model: a wrapper of text and images loads whole, so that it is saved whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def of_folder(folder: Path) -> Any:
    """The auto class for the model in `folder`."""
    from transformers import AutoConfig

    return of(AutoConfig.from_pretrained(folder))


def of(config: Any) -> Any:
    """AutoModelForImageTextToText for a wrapper, else AutoModelForCausalLM."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForImageTextToText if _is_wrapper(config) else AutoModelForCausalLM


def model_class(config: Any) -> Any:
    """The class that the auto class will take; None if it has none."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    mapping = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING if _is_wrapper(config) else MODEL_FOR_CAUSAL_LM_MAPPING
    return mapping.get(type(config), None)


def _is_wrapper(config: Any) -> bool:
    from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    return hasattr(config, "text_config") and type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
