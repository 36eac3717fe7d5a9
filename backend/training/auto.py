"""How transformers loads a model from a folder: which class, never code of the model's own, failures as sentences.

A wrapper of text and images loads whole, so that it is saved whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.errors import UserError
from backend.training import known_failures

NO_CODE = {"trust_remote_code": False}
"""Without it, transformers asks on the terminal whether to run the code in the model's folder."""
_REFUSED = (KeyError, ValueError, TypeError, AttributeError, ArithmeticError)
"""What transformers raises about a configuration. Not RuntimeError, OSError and ImportError: memory, disks and missing
libraries raise them too."""


def config(folder: Path) -> Any:
    """The configuration in `folder`. Raises UserError (field `model`) if transformers refuses it."""
    from transformers import AutoConfig

    with said_plainly(folder):
        return AutoConfig.from_pretrained(folder, **NO_CODE)


def load(folder: Path, *, dropout: bool = True, **options: Any) -> Any:
    """The model in `folder`; `options` are those of `from_pretrained`. Raises UserError if transformers refuses it.

    `dropout=False`: train without the dropout that the model's own configuration sets.
    """
    settings = config(folder)
    _return_what_is_asked(settings)
    if not dropout:
        _drop_nothing(settings)
    if str(getattr(settings, "_attn_implementation", None)).startswith("flash"):  # the package may not be here
        options.setdefault("attn_implementation", "eager")
    with said_plainly(folder):
        return of(settings).from_pretrained(folder, config=settings, **NO_CODE, **options)


def _return_what_is_asked(settings: Any) -> None:
    """Make the model return its usual outputs, by name, whatever config.json says about outputs."""
    for part in {id(x): x for x in (settings, settings.get_text_config())}.values():
        part.return_dict = True
        part.output_attentions = part.output_hidden_states = False


def _drop_nothing(settings: Any) -> None:
    for part in (settings, settings.get_text_config()):
        for name, value in vars(part).items():
            if "drop" in name and isinstance(value, float):
                setattr(part, name, 0.0)


def tokenizer(folder: Path) -> Any:
    """The tokenizer in `folder`. Raises UserError if transformers refuses it."""
    from transformers import AutoTokenizer

    with said_plainly(folder):
        return AutoTokenizer.from_pretrained(folder, **NO_CODE)


@contextmanager
def said_plainly(folder: Path) -> Iterator[None]:
    """What transformers says of a model's files, as a UserError (field `model`) in one sentence."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        yield
    except UserError:
        raise
    except (*_REFUSED, StrictDataclassError) as error:
        last = str(error).strip().rpartition("\n")[2].strip().strip("\"'")
        said = known_failures.sentence(error) or (
            f"transformers refuses its files ({type(error).__name__}: {last[:200]}); download the model again, or "
            "correct what it names in config.json"
        )
        raise UserError(f"the model in {folder} can't be loaded: {said}", "model") from error


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
    """Whether the model has other parts besides text, or is listed by transformers only among such (Mistral 4)."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    kind = type(config)
    is_text = kind in MODEL_FOR_CAUSAL_LM_MAPPING and not hasattr(config, "text_config")
    return kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and not is_text
