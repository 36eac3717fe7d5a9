"""A tokenizer.json as llama.cpp's vocabulary: byte-level BPE ("gpt2") or SentencePiece's BPE with bytes ("llama")."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from backend.errors import UserError

Space = Literal["always", "first", "never"]
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of tokens, as the file numbers them."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {
    (_LLAMA3, True): "llama-bpe",
    (_LLAMA3, False): "smaug-bpe",
    (_QWEN2, False): "qwen2",
    (_TEKKEN, True): "tekken",
}
"""Pre-tokenizer (its expression; whether whole words skip the merges) -> llama.cpp's name of it."""
_SPACE = "\u2581"
_FIX = "use --to merged and llama.cpp's convert_hf_to_gguf.py"


@dataclass(frozen=True)
class Vocabulary:
    """What the file says of the tokens, in the order of their ids."""

    model: str
    pre: str
    """llama.cpp's name of the pre-tokenizer."""
    tokens: Sequence[str]
    kinds: Sequence[int]
    merges: Sequence[str] = ()
    """For `gpt2`."""
    scores: Sequence[float] = ()
    """For `llama`: of two neighbours, the pair with the higher score is merged first."""
    space_before: Space = "never"
    """When a space is put before a text: after each special token, only at the very start, or never."""


def read(folder: Path, size: int) -> Vocabulary:
    """The vocabulary of a model folder whose embedding has `size` rows. Raises UserError if it can't be carried."""
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = data["model"]
    if model.get("type", "BPE") != "BPE":
        raise _refused(f"a tokenizer of kind {model.get('type')}")
    texts, kinds = _tokens(data, size)
    merges = [x if isinstance(x, str) else " ".join(x) for x in model["merges"]]
    if model.get("byte_fallback"):
        scores = _scores(model["merges"], texts)
        return Vocabulary("llama", "default", texts, kinds, scores=scores, space_before=_space_before(data))
    return Vocabulary("gpt2", _cut(data), texts, kinds, merges)


def _tokens(data: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    known: dict[int, tuple[str, int]] = {}
    unknown = data["model"].get("unk_token")
    for text, i in data["model"]["vocab"].items():
        is_byte = bool(data["model"].get("byte_fallback")) and _BYTE.fullmatch(text)
        known[i] = text, BYTE if is_byte else UNKNOWN if text == unknown else NORMAL
    for token in data.get("added_tokens", ()):
        if known.get(token["id"], ("", NORMAL))[1] == NORMAL:  # bytes and the unknown token stay what they are
            known[token["id"]] = token["content"], CONTROL if token["special"] else USER_DEFINED
    if known and max(known) >= size:
        raise _refused(f"a tokenizer with {max(known) + 1} tokens over an embedding of {size} rows")
    filled = [known.get(i, (f"[PAD{i}]", UNUSED)) for i in range(size)]
    return [text for text, _ in filled], [kind for _, kind in filled]


def _cut(data: Mapping[str, Any]) -> str:
    """llama.cpp's name of the pre-tokenizer. With a wrong one the model would silently get other tokens."""
    steps = data.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    kinds = [step.get("type") for step in steps]
    cuts = steps[-1].get("use_regex", True) and not steps[-1].get("add_prefix_space")
    skips = bool(data["model"].get("ignore_merges"))
    if kinds == ["ByteLevel"] and cuts and not skips:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and cuts and steps[0].get("individual_digits") and not skips:
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not steps[-1].get("add_prefix_space"):
        name = PATTERNS.get((steps[0]["pattern"].get("Regex"), skips))
        if name and not steps[-1].get("use_regex", True):
            return name
    raise _refused("this tokenizer's way of cutting a text into words")


def _scores(merges: Sequence[Any], texts: Sequence[str]) -> list[float]:
    """Each token's score from the first merge that makes it; tokens that none makes come after all others."""
    first: dict[str, int] = {}
    last = 0
    for rank, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        at = first.setdefault(left + right, rank)
        if at < last:
            raise _refused("a vocabulary whose merges are in no order of tokens")
        last = at
    return [-float(first.get(text, len(merges) + i)) for i, text in enumerate(texts)]


def _space_before(data: Mapping[str, Any]) -> Space:
    """When a text gets a space before it, by the normalizer or by the pre-tokenizer."""
    normalizer, cut = data.get("normalizer") or {}, data.get("pre_tokenizer") or {}
    steps = [*normalizer.get("normalizers", [normalizer]), *cut.get("pretokenizers", [cut])]
    allowed = ("Prepend", "Replace", "Metaspace", None)
    if strange := [step["type"] for step in steps if step.get("type") not in allowed]:
        raise _refused(f"a tokenizer with the step {strange[0]}")
    prepends = any(step.get("type") == "Prepend" and step.get("prepend") == _SPACE for step in steps)
    scheme: Space = next(
        (step.get("prepend_scheme", "always") for step in steps if step.get("type") == "Metaspace"), "never"
    )
    return "always" if prepends else scheme


def _refused(what: str) -> UserError:
    return UserError(f"{what} can't be written as GGUF here; {_FIX}", "to")
