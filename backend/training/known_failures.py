"""What libraries raise for a model or a setting that is wrong, and the sentence with the fix that a user gets instead.

The first pattern that is found in "TypeName: message" is taken. What can be known in advance is refused by the plan;
this is for failures that only show once the libraries are called. Imports no torch.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Known(NamedTuple):
    """One kind of failure."""

    pattern: str
    """A regular expression; its first group fills `{0}` of the sentence."""
    sentence: str


TABLE = (
    Known(
        r"IndexError: index out of range in self|srcIndex < srcSelectDimSize|vectorized_gather_kernel",
        "a token id is beyond the model's embedding: tokenizer and weights do not belong together; "
        "take tokenizer.json and config.json from the same version of the model",
    ),
    Known(
        r"Padding_idx must be within num_embeddings",
        "pad_token_id in config.json is beyond the embedding; set it to a token that the model has, such as its "
        "eos_token_id",
    ),
    Known(
        r"trust_remote_code|contains custom code|execute the configuration file",
        "the model needs Python code from its own repository, which fttui does not run; "
        "give a model whose architecture transformers has",
    ),
    Known(
        r"does not recognize this architecture|model type `?(\S+?)`? but Transformers",
        "the installed transformers does not know this model's architecture; upgrade it with: "
        "pip install --upgrade transformers",
    ),
    Known(
        r"Unrecognized configuration class <class '[\w.]*?(\w+)'>",
        "transformers has no model that writes text for {0}; give the model's language part, or another model",
    ),
    Known(
        r"KeyError: '(su|[a-z0-9_]*rope[a-z0-9_]*|ntk|mrope)'",
        "rope type {0!r} in config.json is unknown to transformers; take the config.json of a newer version",
    ),
    Known(
        r"size mismatch for (\S+?):|ignore_mismatched_sizes",
        "the weights do not have the shapes that config.json says; download the model again, or give the config.json "
        "that was saved with them",
    ),
    Known(
        r"Target modules? .* not found in the base model|NoMatchingPeftModuleError",
        "no layer of this model can carry an adapter; choose method=full, or name its layers in target_modules",
    ),
    Known(
        r"(\w+) does not support (?:an attention implementation|Flash Attention|attention implementation)",
        "{0} has no such attention kernel; set attention=eager",
    ),
    Known(
        r"no kernel image is available|named symbol not found|device kernel image is invalid",
        "the installed torch has no kernels for this GPU; `fttui doctor` says which build of torch has",
    ),
    Known(
        r"driver on your system is too old|driver version is insufficient|forward compatibility was attempted",
        "the NVIDIA driver is too old for the installed torch; `fttui doctor` says what to update",
    ),
    Known(
        r"/dev/shm|[Nn]o space left on device.*nccl|shared memory segment",
        "the GPUs' processes have too little shared memory; start the container with --shm-size=8g or --ipc=host",
    ),
    Known(
        r"Found no NVIDIA driver|No CUDA GPUs are available|no CUDA-capable device is detected",
        "torch finds no GPU here, or none any more; `fttui doctor` says what is missing",
    ),
)


def sentence(error: BaseException) -> str | None:
    """The sentence for a known failure; None for any other."""
    said = f"{type(error).__name__}: {error}"
    for known in TABLE:
        found = re.search(known.pattern, said)
        if found:
            return known.sentence.format(_first(found))
    return None


def _first(found: re.Match[str]) -> str:
    """The first group; empty if the pattern has none, or it did not match."""
    return (found.group(1) or "") if found.re.groups else ""
