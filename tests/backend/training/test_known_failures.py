"""Errors that libraries raise become one sentence with the fix."""

from __future__ import annotations

import pytest

from backend.training.failure import sentence


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (IndexError("index out of range in self"), "tokenizer and weights do not belong together"),
        (AssertionError("Padding_idx must be within num_embeddings"), "pad_token_id in config.json"),
        (KeyError("su"), "rope type 'su'"),
        (
            ValueError("Please pass `trust_remote_code=True` to allow custom code"),
            "Python code from its own",
        ),
        (
            ValueError("The checkpoint has model type `new9` but Transformers does not recognize this architecture."),
            "pip install --upgrade transformers",
        ),
        (
            ValueError("Unrecognized configuration class <class 'transformers.models.x.Y.PixConfig'> for this kind"),
            "no model that writes text for PixConfig",
        ),
        (
            RuntimeError("You set `ignore_mismatched_sizes` to `False`, look at the above report!"),
            "do not have the shapes that config.json says",
        ),
        (ValueError("Target modules {'x'} not found in the base model."), "choose method=full"),
        (ValueError("BloomForCausalLM does not support an attention implementation through sdpa"), "attention=eager"),
    ],
)
def test_a_librarys_failure_is_a_sentence_with_the_fix(error: Exception, said: str) -> None:
    text = sentence(error, "run")
    assert said in text
    assert "\n" not in text
    assert not text.startswith(type(error).__name__)


def test_any_other_failure_keeps_its_name() -> None:
    assert sentence(ValueError("who knows"), "run") == "ValueError: who knows"
