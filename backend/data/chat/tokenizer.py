"""A model's tokenizer and chat template without transformers: tokenizer.json through `tokenizers`, jinja2."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from backend.data.chat.template import Refusal, Template, Turns, fallback
from backend.data.chat.tokenizer_files import (
    FILES,
    settings_of,
    special_of,
    templates_of,
    token_settings,
    tokenizer_of,
)

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

FIRST_ALIAS = 0xF0000
"""Code point that stands for the first special token when special tokens' texts are to be read as plain text."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_NOT_CONTROL = ("<think>", "</think>")
"""Special in some vocabularies, but written in data as often as by templates, which look for them there."""


class TextTokenizer:
    """Texts to ids, and turns to text. Ids are those of transformers' tokenizer of the same folder."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        special: dict[str, str],
        templates: dict[str, str],
        adds_bos: bool,
        embedding_rows: int | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self.embedding_rows = embedding_rows
        """Token ids that the model knows, by its config.json; None if that doesn't say."""
        self.special = special
        """bos_token, eos_token, pad_token ... -> its text, for those that the tokenizer has."""
        self.adds_bos = adds_bos
        """Plain texts start with BOS (templates bring their own)."""
        self.is_fallback = not templates
        """The model has no chat template: `fallback` of template.py stands in, and must be saved with the model."""
        self._templates = {k: Template(v, special) for k, v in (templates or {"default": fallback(adds_bos)}).items()}

    @classmethod
    def load(cls, folder: Path, added: Sequence[str] = ()) -> TextTokenizer:
        """The tokenizer of a model folder, with `added` tokens, kept for the next call.

        Raises UserError (field `model`) if there is none.
        """
        stamps = tuple(path.stat().st_mtime_ns if (path := folder / name).is_file() else 0 for name in FILES)
        return _load(folder, stamps, tuple(added))

    def save(self, file: Path) -> None:
        """Write tokenizer.json, with the tokens that only tokenizer_config.json named."""
        self._tokenizer.save(str(file))

    def id_of(self, text: str) -> int | None:
        """The id of the token with this text; None if there is none."""
        return self._tokenizer.token_to_id(text)

    @property
    def rows(self) -> int:
        """Rows that an embedding needs: the highest id, and one."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @property
    def chat_template(self) -> str:
        """The source of the template that turns are rendered with (without tools)."""
        return self.template().source

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the vocabulary, the special tokens and the templates."""
        sources = json.dumps([self.special, {k: v.source for k, v in self._templates.items()}, self.adds_bos])
        return blake2b((self._tokenizer.to_str() + sources).encode(), digest_size=16).hexdigest()

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids that are marks, not text (tokens of single bytes are text, though vocabularies call them special)."""
        return frozenset(self._marks.values())

    @cached_property
    def _marks(self) -> dict[str, int]:
        """Special tokens' texts and ids."""
        added = {token.content: i for i, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        named = {text: i for name, text in self.special.items() if (i := self.token_id(name)) is not None}
        return {text: i for text, i in (added | named).items() if text and not _BYTE.fullmatch(text)}

    def knows_mark(self, text: str) -> bool:
        """A mark is a token of this model, or written by its template (which has it as plain text, as Llama 2 has)."""
        return self._tokenizer.token_to_id(text) is not None or any(text in x.source for x in self._templates.values())

    @cached_property
    def special_pattern(self) -> re.Pattern[str]:
        """Finds special tokens' texts, the longest first; those of one character, which no text can avoid, are not."""
        texts = sorted((x for x in self._marks if len(x) > 1 and x not in _NOT_CONTROL), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts)) if texts else r"(?!)")

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Special token's text -> the character that stands for it in `encode_aliased`."""
        return {text: chr(FIRST_ALIAS + at) for at, text in enumerate(self._marks)}

    def unaliased(self, text: str) -> str:
        """The text with special tokens in place of their aliases."""
        return text.translate({ord(alias): mark for mark, alias in self.aliases.items()})

    @cached_property
    def _aliased(self) -> tuple[Tokenizer, dict[int, int]]:
        """A tokenizer that reads special tokens' texts as plain text and their aliases as the tokens; alias ids."""
        from tokenizers import AddedToken, Tokenizer

        made = Tokenizer.from_str(self._tokenizer.to_str())
        known = {token.content: token for token in made.get_added_tokens_decoder().values()}
        tokens = [
            AddedToken(
                alias,
                special=False,
                normalized=False,
                lstrip=text in known and known[text].lstrip,
                rstrip=text in known and known[text].rstrip,
            )
            for text, alias in self.aliases.items()
        ]
        made.add_tokens(tokens)
        made.encode_special_tokens = True
        pairs = ((made.token_to_id(alias), self._marks[text]) for text, alias in self.aliases.items())
        return made, {i: mark for i, mark in pairs if i is not None}

    def encode_aliased(self, text: str) -> tuple[list[int], Encoding]:
        """Ids of a text in which aliases stand for special tokens, and its encoding (which has other ids for them)."""
        tokenizer, ids = self._aliased
        encoding = tokenizer.encode(text, add_special_tokens=False)
        return [ids.get(i, i) for i in encoding.ids], encoding

    def template(self, with_tools: bool = False) -> Template:
        """The template in use: `tool_use` for rows with tools if the model has one, else the default."""
        name = "tool_use" if with_tools and "tool_use" in self._templates else "default"
        return self._templates.get(name) or next(iter(self._templates.values()))

    def render(self, turns: Turns, tools: Turns = (), add_generation_prompt: bool = False) -> str:
        """Turns as one text, as `apply_chat_template(tokenize=False)`. Raises Refusal."""
        return self.template(bool(tools)).render(turns, tools, add_generation_prompt)

    def token_id(self, name: str) -> int | None:
        """The id of `eos_token` and its like; None if the tokenizer has none."""
        token = self.special.get(name)
        return None if token is None else self._tokenizer.token_to_id(token)

    def encode(self, text: str) -> Encoding:
        """Ids of a text with the characters that each stands for; no token is added."""
        return self._tokenizer.encode(text, add_special_tokens=False)

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """`encode` of several texts at once, in parallel."""
        return self._tokenizer.encode_batch(list(texts), add_special_tokens=False)

    def encode_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids alone, faster: no character positions are kept."""
        return [x.ids for x in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Ids back to text, marks included."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    @cached_property
    def writes_date(self) -> bool:
        """Some template of the model writes the day of rendering."""
        return any(template.writes_date for template in self._templates.values())

    @cached_property
    def default_system(self) -> str:
        """The system prompt that the template writes by itself if a conversation has none; empty without one."""
        system, question = "\ue000s\ue001", "\ue000q\ue001"
        asked = {"role": "user", "content": question}
        try:
            without = self.render([asked]).partition(question)[0]
            given = self.render([{"role": "system", "content": system}, asked])
        except Refusal:
            return ""
        before, said, after = given.partition(question)[0].partition(system)
        fits = said and without.startswith(before) and without.endswith(after) and len(without) > len(before + after)
        return without[len(before) : len(without) - len(after)].strip() if fits else ""

    @cached_property
    def assistant_header(self) -> str:
        """What stands before every answer and is never part of one, such as `<|im_start|>assistant` and a line feed.

        Empty if the template has no such mark (Mistral), or takes no single question.
        """
        question = {"role": "user", "content": "x"}
        try:
            asked = self.render([question])
            opened = self.render([question], add_generation_prompt=True)
            answered = self.render([question, {"role": "assistant", "content": "\ue000"}])
        except Refusal:
            return ""
        if not opened.startswith(asked) or not answered.startswith(asked):
            return ""
        header, said = opened[len(asked) :], answered[len(asked) :].partition("\ue000")[0]
        return _common_start(header, said)


def _common_start(one: str, other: str) -> str:
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


@lru_cache(maxsize=4)
def _load(folder: Path, stamps: tuple[int, ...], added: tuple[str, ...]) -> TextTokenizer:
    from tokenizers import AddedToken

    config = token_settings(folder)
    special = special_of(config)
    templates = templates_of(folder, config)
    tokenizer = tokenizer_of(folder, special, config)
    adds_bos = _adds_bos(tokenizer, special)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in added])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # No special tokens are added here, and without the post-processor the tokens' positions include spaces.
    tokenizer.post_processor = None
    rows = _embedding_rows(folder)
    made = TextTokenizer(tokenizer, special, templates, adds_bos, rows)
    if rows is not None and added:  # the embedding grows as far as they need it
        made.embedding_rows = max(rows, made.rows)
    return made


def _embedding_rows(folder: Path) -> int | None:
    """`vocab_size` of the model, or of the part of it that writes text."""
    config = settings_of(folder / "config.json")
    inner = config.get("text_config")
    value = config.get("vocab_size") or (inner.get("vocab_size") if isinstance(inner, dict) else None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _adds_bos(tokenizer: Tokenizer, special: dict[str, str]) -> bool:
    """tokenizer.json's post-processor says so; transformers 5 takes no notice of the config's add_bos_token either."""
    bos = special.get("bos_token")
    return bos is not None and tokenizer.encode("x").ids[:1] == [tokenizer.token_to_id(bos)]
