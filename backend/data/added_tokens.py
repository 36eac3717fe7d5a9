"""New tokens for a model: read from a file, checked against its tokenizer, and the shape that follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from backend import paths, typed
from backend.errors import UserError
from backend.model import token_tables
from backend.model.info import ModelInfo

if TYPE_CHECKING:
    from backend.data.chat.tokenizer import TextTokenizer

MOST = 50_000
"""The most tokens that can be added; more would be a new vocabulary."""
_LONGEST = 200


def read(said: str) -> tuple[str, ...]:
    """The tokens in the file `said`, one a line or a JSON list. Raises UserError (field `add_tokens`)."""
    path = paths.existing(said, "add_tokens")
    if path is None or not path.is_file():
        raise _refused(f"there is no file {said}", "give a file of tokens, one a line, or a JSON list")
    try:
        text = typed.read_text(path).removeprefix("\ufeff")
        is_list = path.suffix == ".json" or (text.lstrip().startswith("[") and _is_list(text))
        tokens = typed.from_json(text, list[str]) if is_list else _lines(text)
    except typed.Damaged as error:
        takes = "it takes tokens one a line, or a JSON list of texts"
        raise _refused(f"{said} can't be read ({error})", takes) from None
    _refuse_odd(tokens, said)
    return tuple(tokens)


def extended(model: ModelInfo, tokens: tuple[str, ...]) -> ModelInfo:
    """The model with rows for `tokens`, as many as its embedding has no room for.

    Raises UserError if its tokenizer knows one of them.
    """
    if model.folder is not None and model.has_weights:
        token_tables.names(model.folder, model.shape.vocab)
    rows = _rows(model, tokens)
    shape = model.shape
    wide = shape.vocab * shape.hidden
    modules = tuple((name, rows * shape.hidden if size == wide else size) for name, size in shape.whole_modules)
    return replace(
        model,
        added_tokens=tokens,
        shape=replace(shape, vocab=rows, added_tokens=len(tokens), whole_modules=modules),
    )


def _rows(model: ModelInfo, tokens: tuple[str, ...]) -> int:
    if model.tokenizer_file is None:
        return model.shape.vocab + len(tokens)
    from backend.data.chat.tokenizer import TextTokenizer

    folder = model.tokenizer_file.parent
    tokenizer = TextTokenizer.load(folder)
    refuse_known(tokens, tokenizer, model.shape.name)
    return max(model.shape.vocab, TextTokenizer.load(folder, tokens).rows)


def refuse_known(tokens: Iterable[str], tokenizer: TextTokenizer, name: str) -> None:
    """Raise UserError if one of `tokens` is a token of the model called `name` already."""
    known = next((token for token in tokens if tokenizer.id_of(token) is not None), None)
    if known is not None:
        raise _refused(f"{name} has the token {known!r} already", "leave it out")


def _is_list(text: str) -> bool:
    """A JSON list, rather than lines of tokens such as `[A]`."""
    first = text.strip().splitlines()[0].rstrip()
    return first == "[" or '"' in first


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def _refuse_odd(tokens: list[str], said: str) -> None:
    if not tokens:
        raise _refused(f"{said} holds no token", "write one a line")
    if len(tokens) > MOST:
        raise _refused(f"{said} holds {len(tokens):,} tokens", f"at most {MOST:,} can be added")
    for number, token in enumerate(tokens, 1):
        which = f"token {number} of {said}"
        if len(token) > _LONGEST:
            raise _refused(f"{which} has {len(token):,} characters", f"at most {_LONGEST} make a token")
        if not token.strip():
            raise _refused(f"{which} is empty", "remove that line")
        if token != token.strip() or "\n" in token or "\r" in token:
            raise _refused(f"{which}, {token!r}, has white space at its ends or a line break", "remove it")
    twice = next((token for token, count in Counter(tokens).items() if count > 1), None)
    if twice is not None:
        raise _refused(f"{said} holds {twice!r} twice", "list each token once")


def _refused(what: str, fix: str) -> UserError:
    return UserError(f"add_tokens: {what}; {fix}", "add_tokens")
