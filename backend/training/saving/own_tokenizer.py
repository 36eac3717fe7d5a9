"""Keeps the tokenizer that a model was made with, if transformers would read its files as another.

For some families transformers rebuilds the tokenizer from the vocabulary alone, with the pre-tokenizer of its class.
Rows are tokenised with tokenizer.json as it is, and that is saved with the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.data.chat.tokenizer import TextTokenizer

_TEXTS = (
    "How many apples are 12345 + 7?\n\n  It's  Ünïcode: 漢字 🙂, don't\tSHOUT…\r\n",
    " if x==1:\n        return foo(x)  # e\u0301\n",
)
"""What tokenizers split differently: digits, spaces, marks, scripts, letters of two code points."""


_SETTINGS = "tokenizer_config.json"
_AS_IT_IS = "PreTrainedTokenizerFast"
"""The class that takes tokenizer.json as it is; transformers 5 calls it TokenizersBackend and knows both names."""


def differs(tokenizer: Any, folder: Path) -> bool:
    """Whether transformers' `tokenizer` of the model in `folder` makes other tokens of a text than tokenizer.json."""
    own = TextTokenizer.load(folder)
    try:
        return bool(tokenizer(list(_TEXTS), add_special_tokens=False)["input_ids"] != own.encode_ids(_TEXTS))
    except Exception:  # noqa: BLE001 - tokenizers raises bare Exception
        return True


def save(tokenizer: Any, folder: Path) -> None:
    """Save transformers' `tokenizer`, with names that transformers 4 reads too: it refuses the newer ones."""
    tokenizer.save_pretrained(folder)
    path = folder / _SETTINGS
    settings = json.loads(path.read_text(encoding="utf-8"))
    for name in ("is_local", "local_files_only"):  # how it was loaded here
        settings.pop(name, None)
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = _AS_IT_IS
    if isinstance(settings.get("extra_special_tokens"), list):
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
    _write(settings, path)


def write(base: Path, target: Path, added: Sequence[str] = ()) -> None:
    """Put the tokenizer.json of `base`, with `added` tokens, into `target`, and a class that takes it as it is."""
    TextTokenizer.load(base, added).save(target / "tokenizer.json")
    path = target / _SETTINGS
    _write(json.loads(path.read_text(encoding="utf-8")) | {"tokenizer_class": _AS_IT_IS}, path)


def _write(settings: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
