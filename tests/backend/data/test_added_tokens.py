"""New tokens: the file that lists them, and what they do to a model's shape and its tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backend.data import added_tokens
from backend.data.chat.tokenizer import TextTokenizer
from backend.errors import UserError
from backend.model import find, token_tables
from tests.tiny import make_model


@pytest.mark.parametrize(
    "content",
    ["<a>\n<b>\n", "<a>\n<b>", "\ufeff<a>\n<b>\n", '["<a>", "<b>"]', '[\n "<a>",\n "<b>"\n]\n', "<a>\r\n<b>\r\n"],
)
def test_a_line_each_or_a_json_list(content: str, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_bytes(content.encode())
    assert added_tokens.read(str(tmp_path / "new.txt")) == ("<a>", "<b>")


def test_a_line_may_look_like_a_list(tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("[INST]\n[/INST]\n")
    assert added_tokens.read(str(tmp_path / "new.txt")) == ("[INST]", "[/INST]")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no token"),
        (b"<a>\n\n<b>\n", "token 2 of .* is empty"),
        (b"<a>\n  \n", "token 2 of .* is empty"),
        (b"<a>\n <b>\n", "white space at its ends"),
        (b"<a>\n<b>\n<a>\n", "holds '<a>' twice"),
        (b'["<a>", 3]', "can't be read"),
        (b'["<a>"', "can't be read"),
        (b"\xff\xfe", "can't be read"),
        (b"x" * 300, "has 300 characters"),
    ],
)
def test_odd_tokens_are_refused_in_a_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_bytes(content)
    with pytest.raises(UserError, match=sentence) as refusal:
        added_tokens.read(str(tmp_path / "new.txt"))
    assert refusal.value.field == "add_tokens" and "\n" not in str(refusal.value)


def test_a_json_file_holds_a_list_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text('{"<a>": 1}')
    with pytest.raises(UserError, match="can't be read"):
        added_tokens.read(str(tmp_path / "new.json"))


def test_no_file() -> None:
    with pytest.raises(UserError, match=r"there is no file gone\.txt"):
        added_tokens.read("gone.txt")


def test_the_embedding_grows_as_far_as_it_must(tiny_model: Path) -> None:
    model = find.find(str(tiny_model))
    rows = TextTokenizer.load(tiny_model).rows
    grown = added_tokens.extended(model, ("<a>", "<b>"))
    assert grown.shape.vocab == max(384, rows + 2) and grown.shape.added_tokens == 2
    more = grown.shape.vocab - 384
    assert grown.shape.parameters == model.shape.parameters + more * 64
    assert dict(grown.shape.whole_modules)["embed_tokens"] == grown.shape.vocab * 64


def test_a_token_that_is_there_already(tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"has the token '<\|im_end\|>' already"):
        added_tokens.extended(find.find(str(tiny_model)), ("<|im_end|>",))


def test_the_tokenizer_reads_each_as_one_token_and_changes_its_fingerprint(tiny_model: Path) -> None:
    plain, more = TextTokenizer.load(tiny_model), TextTokenizer.load(tiny_model, ("<new token>",))
    assert more.encode_ids(["a<new token>b"])[0].count(plain.rows) == 1
    assert len(more.encode_ids(["<new token>"])[0]) == 1
    assert more.fingerprint != plain.fingerprint
    assert plain.encode_ids(["a<new token>b"]) == TextTokenizer.load(tiny_model).encode_ids(["a<new token>b"])


def test_a_table_of_tokens_beside_the_embedding(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens_per_layer.weight"] = np.zeros((384, 8), np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"add_tokens: .*\(model.embed_tokens_per_layer.weight has one too\)"):
        token_tables.names(folder, 384)
    assert token_tables.names(make_model(tmp_path / "usual", tie_word_embeddings=False), 384) == {
        "model.embed_tokens.weight",
        "lm_head.weight",
    }
