"""Reads the files of a model's tokenizer; a fault in one is a UserError that names the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend import typed
from backend.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.jinja", "chat_template.json", "config.json"),
)


def tokenizer_of(folder: Path, special: dict[str, str], config: dict[str, Any]) -> Tokenizer:
    """tokenizer.json, with the tokens that only tokenizer_config.json names. UserError (field `model`)."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"{folder} has no tokenizer.json; use a model that brings one", "model")
    with _faults_of(path):
        tokenizer = Tokenizer.from_file(str(path))
    with _faults_of(folder / "tokenizer_config.json"):
        _add_missing(tokenizer, special, config)
    return tokenizer


def token_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, and what older files say beside it, as transformers puts them together.

    Unless it lists the added tokens, special_tokens_map.json overrides it, and added_tokens.json adds to them.
    """
    config = settings_of(folder / "tokenizer_config.json")
    if "added_tokens_decoder" in config:
        return config
    merged = config | settings_of(folder / "special_tokens_map.json")
    with _faults_of(folder / "added_tokens.json"):
        older = sorted(settings_of(folder / "added_tokens.json").items(), key=lambda item: int(item[1]))
        named = {*special_of(merged).values(), *extra_of(merged)}
        entries = {str(at): _older_token(text, special=text in named) for text, at in older}
    return merged | ({"added_tokens_decoder": entries} if entries else {})


def _older_token(text: str, *, special: bool) -> dict[str, Any]:
    return {"content": text, "normalized": not special, "special": special}


def extra_of(config: dict[str, Any]) -> list[str]:
    """Special tokens without a name of the usual ones."""
    found: list[str] = []
    for key in ("additional_special_tokens", "extra_special_tokens"):
        value = config.get(key)
        values = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        texts = [x.get("content") if isinstance(x, dict) else x for x in values]
        found += [text for text in texts if isinstance(text, str) and text]
    return found


def special_of(config: dict[str, Any]) -> dict[str, str]:
    """Special tokens by name, as far as they are texts."""
    values = {name: config.get(name) for name in SPECIAL}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in values.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def templates_of(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """Sources of chat templates by name; empty if the model has none."""
    files = {path.stem: path for path in sorted((folder / "additional_chat_templates").glob("*.jinja"))}
    if (folder / "chat_template.jinja").is_file():
        files["default"] = folder / "chat_template.jinja"
    if files:
        return {name: _text(path) for name, path in files.items()}
    value = config.get("chat_template")
    if isinstance(value, list):
        with _faults_of(folder / "tokenizer_config.json"):
            return {str(entry["name"]): str(entry["template"]) for entry in value}
    if not value:  # a model of images and text may have it in its processor's file alone
        value = settings_of(folder / "chat_template.json").get("chat_template")
    return {"default": value} if isinstance(value, str) and value else {}


def settings_of(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is no such file, or if it holds something else. UserError (field `model`)."""
    with _faults_of(path):
        try:
            value = json.loads(typed.read_text(path))  # such files hold numbers of any size, and NaN
        except typed.Missing:
            return {}
    return value if isinstance(value, dict) else {}


def _text(path: Path) -> str:
    with _faults_of(path):
        return typed.read_text(path)


def _add_missing(tokenizer: Tokenizer, special: dict[str, str], config: dict[str, Any]) -> None:
    """Tokens that only tokenizer_config.json names, in the order of their ids (transformers does the same)."""
    from tokenizers import AddedToken

    known = config.get("added_tokens_decoder")
    entries = sorted(known.items(), key=lambda item: int(item[0])) if isinstance(known, dict) else []
    for _, entry in entries:
        if tokenizer.token_to_id(entry["content"]) is None:
            flags = {key: entry.get(key, False) for key in ("lstrip", "rstrip", "single_word", "normalized", "special")}
            tokenizer.add_tokens([AddedToken(entry["content"], **flags)])
    named = [*special.values(), *extra_of(config)]
    tokenizer.add_special_tokens([text for text in named if tokenizer.token_to_id(text) is None])


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    try:
        yield
    except typed.Missing:
        raise
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception
        why = str(error).split("\n")[0]
        why = f"{why!r} is missing" if isinstance(error, KeyError) else why
        raise UserError(f"{path} can't be read: {why}; fetch the model again", "model") from None
