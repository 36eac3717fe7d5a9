"""GGUF files, read back by gguf's own reader: sizes, vocabulary, template, and every tensor's numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader, dequantize
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from backend.data.chat.tokenizer import TextTokenizer
from backend.errors import UserError
from backend.export.export import export
from backend.export.gguf import families, vocabulary
from backend.export.gguf import write as gguf_write
from tests.backend.export.helpers import ended, found, silent
from tests.tiny import make_model


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Fields and tensors (in float32) of a file."""
    reader = GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {x.name: dequantize(x.data, x.tensor_type) for x in reader.tensors}


def exported(base: Path, **options: Any) -> Path:
    done = export(found(ended(base)), "gguf", None, silent, **options)
    (file,) = done.folder.glob("*.gguf")
    assert {x.name for x in done.folder.iterdir()} == {file.name, "README.md", "loss.svg"}
    assert str(file) in done.command
    return file


def merged_weights(base: Path) -> dict[str, torch.Tensor]:
    folder = export(found(ended(base)), "merged", None, silent).folder
    weights: dict[str, torch.Tensor] = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    return weights


def halves_to_neighbours(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Row by row, as llama.cpp wants them: the pair (i, i + half) of a head becomes (2i, 2i + 1)."""
    size = len(rows) // heads
    order = [head * size + at for head in range(heads) for i in range(size // 2) for at in (i, i + size // 2)]
    return rows[order]


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_the_merged_model(family: str, tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", family, tie_word_embeddings=False)
    fields, tensors = read(exported(base, dtype="f16"))
    arch = "qwen2" if family == "qwen2" else "llama"
    assert fields["general.architecture"] == arch and fields["general.type"] == "model"
    assert (fields[f"{arch}.block_count"], fields[f"{arch}.embedding_length"]) == (2, 64)
    assert (fields[f"{arch}.attention.head_count"], fields[f"{arch}.attention.head_count_kv"]) == (4, 2)
    assert fields[f"{arch}.rope.freq_base"] == 10000.0 and fields[f"{arch}.rope.dimension_count"] == 16
    assert fields[f"{arch}.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    weights = merged_weights(base)
    assert len(tensors) == len(weights)
    for at in (0, 1):
        for ours, theirs, heads in (("attn_q", "q_proj", 4), ("attn_k", "k_proj", 2), ("attn_v", "v_proj", 0)):
            wanted = weights[f"model.layers.{at}.self_attn.{theirs}.weight"].numpy()
            wanted = halves_to_neighbours(wanted, heads) if heads and arch == "llama" else wanted
            np.testing.assert_allclose(tensors[f"blk.{at}.{ours}.weight"], wanted, atol=1e-4)
        np.testing.assert_array_equal(tensors[f"blk.{at}.attn_norm.weight"], np.ones(64, np.float32))
    np.testing.assert_allclose(tensors["output.weight"], weights["lm_head.weight"].numpy(), atol=1e-4)
    if family == "qwen2":
        bias = weights["model.layers.0.self_attn.q_proj.bias"].numpy()
        np.testing.assert_array_equal(tensors["blk.0.attn_q.bias"], bias)


@pytest.mark.parametrize(("dtype", "most"), [("f16", 1e-4), ("bf16", 1e-3), ("q8_0", 1e-3)])
def test_number_types(dtype: Any, most: float, tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", tie_word_embeddings=False)
    file = exported(base, dtype=dtype)
    kinds = {x.name: x.tensor_type.name for x in GGUFReader(file).tensors}
    assert kinds["blk.0.ffn_up.weight"] == dtype.upper() and kinds["blk.0.ffn_norm.weight"] == "F32"
    assert file.name.endswith(f"-{dtype.upper()}.gguf")
    wanted = merged_weights(base)["model.layers.0.mlp.up_proj.weight"].numpy()
    got = read(file)[1]["blk.0.ffn_up.weight"]
    np.testing.assert_allclose(got, wanted, atol=most)
    assert (got != wanted).any()


def test_vocabulary_template_and_marks(tiny_model: Path) -> None:
    fields, tensors = read(exported(tiny_model))
    known = TextTokenizer.load(tiny_model)
    tokens = fields["tokenizer.ggml.tokens"]
    raw = json.loads((tiny_model / "tokenizer.json").read_text())
    assert tokens == [text for text, _ in sorted(raw["model"]["vocab"].items(), key=lambda x: x[1])]
    assert (fields["tokenizer.ggml.model"], fields["tokenizer.ggml.pre"]) == ("gpt2", "gpt-2")
    marks = {tokens[at] for at, kind in enumerate(fields["tokenizer.ggml.token_type"]) if kind == vocabulary.CONTROL}
    assert marks == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
    assert fields["tokenizer.ggml.merges"][0] == " ".join(raw["model"]["merges"][0])
    assert (
        tokens[fields["tokenizer.ggml.eos_token_id"]] == tokens[fields["tokenizer.ggml.eot_token_id"]] == "<|im_end|>"
    )
    assert fields["tokenizer.chat_template"] == known.chat_template
    assert fields["tokenizer.ggml.add_bos_token"] is False
    assert "output.weight" not in tensors  # tied: llama.cpp takes the embedding


def test_the_adapter_alone(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    folder = ended(base)
    done = export(found(folder), "gguf", None, silent, adapter=True)
    (file,) = done.folder.glob("*-adapter.gguf")
    fields, tensors = read(file)
    assert (fields["general.type"], fields["adapter.type"], fields["adapter.lora.alpha"]) == ("adapter", "lora", 8.0)
    a, b = tensors["blk.1.attn_q.weight.lora_a"], tensors["blk.1.attn_q.weight.lora_b"]
    merged = export(found(folder), "merged", None, silent).folder
    name = "model.layers.1.self_attn.q_proj.weight"
    new, old = (AutoModelForCausalLM.from_pretrained(x).state_dict()[name].numpy() for x in (merged, base))
    assert abs(new - old).max() > 1e-3
    np.testing.assert_allclose(8.0 / 4 * b @ a, halves_to_neighbours(new - old, 4), atol=1e-6)


def test_what_config_json_leaves_out_is_what_the_class_assumes(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", family="qwen2")
    config = json.loads((folder / "config.json").read_text())
    kept = {key: x for key, x in config.items() if key not in ("head_dim", "vocab_size", "max_position_embeddings")}
    (folder / "config.json").write_text(
        json.dumps(kept | {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]})
    )
    found = families.config_of(folder)
    keys = families.keys(found, "qwen3")
    assert (families.head_size(found), keys["qwen3.vocab_size"], keys["qwen3.context_length"]) == (128, 151936, 32768)


def test_llama_3_scaling_is_what_transformers_computes() -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    config = LlamaConfig(hidden_size=512, num_attention_heads=4, max_position_embeddings=131072, rope_parameters=rope)
    wanted, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    said = families.frequency_divisors(config.to_dict())
    assert said is not None and len(said) == 64
    plain = 1.0 / 500000.0 ** (torch.arange(0, 128, 2) / 128)
    torch.testing.assert_close(plain / torch.tensor(said), wanted)
    assert min(said) == 1.0 and max(said) == 8.0


def test_of_two_names_for_rotary_settings_the_one_that_transformers_takes_counts(tmp_path: Path) -> None:
    from transformers import LlamaConfig

    path = make_model(tmp_path / "m") / "config.json"
    newer = {"rope_type": "default", "rope_theta": 500000.0}
    older = {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 20000.0}
    path.write_text(json.dumps(json.loads(path.read_text()) | older | {"rope_parameters": newer}))

    read = LlamaConfig.from_pretrained(path.parent).rope_parameters
    keys = families.keys(families.config_of(path.parent), "llama")

    assert (read["rope_type"], read["factor"], read["rope_theta"]) == ("linear", 4.0, 20000.0)
    assert (keys["llama.rope.scaling.type"], keys["llama.rope.scaling.factor"]) == ("linear", 4.0)
    assert keys["llama.rope.freq_base"] == 20000.0


def sentencepiece(folder: Path, **changes: Any) -> Path:
    """A small vocabulary of SentencePiece's kind: bytes, pieces, merges in the order of their ids."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{x:02X}>" for x in range(256)), "▁a", "▁ab", "▁", "a", "b"]
    model = {"type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "vocab": {x: i for i, x in enumerate(pieces)}}
    model["merges"] = [["▁", "a"], ["▁a", "b"]]
    added = [{"id": i, "content": pieces[i], "special": True} for i in range(3)]
    steps = [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
    normalizer = {"type": "Sequence", "normalizers": steps}
    data = {"model": model, "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": None} | changes
    (folder / "tokenizer.json").write_text(json.dumps(data))
    return folder


def test_sentencepieces_vocabulary_by_scores(tmp_path: Path) -> None:
    known = vocabulary.read(sentencepiece(tmp_path), 266)
    assert (known.model, known.pre, known.space_before) == ("llama", "default", "always")
    assert [known.kinds[i] for i in (0, 1, 2, 3, 258, 259)] == [2, 3, 3, 6, 6, 1]
    score = dict(zip(known.tokens, known.scores, strict=True))
    assert score["▁a"] > score["▁ab"] > score["b"]
    assert (known.tokens[-1], known.kinds[-1]) == ("[PAD265]", vocabulary.UNUSED)
    for scheme in ("first", "never"):
        metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}
        read = vocabulary.read(sentencepiece(tmp_path, normalizer=None, pre_tokenizer=metaspace), 264)
        assert read.space_before == scheme


def test_a_space_at_the_very_start_is_none_in_a_chat_that_begins_with_a_mark(tiny_model: Path) -> None:
    chatml = TextTokenizer.load(tiny_model)
    assert not gguf_write._adds_space(chatml, "first")
    assert gguf_write._adds_space(chatml, "always") and not gguf_write._adds_space(chatml, "never")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, "way of cutting a text into words"),
        ({"model": {"type": "Unigram", "vocab": []}}, "a tokenizer of kind Unigram"),
    ],
)
def test_a_vocabulary_that_would_be_read_otherwise_is_refused(change: Any, message: str, tiny_model: Path) -> None:
    folder = ended(tiny_model)
    path = folder.result / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        export(found(folder), "gguf", None, silent)
    assert not (folder.path / "export" / "gguf").exists()


def test_more_tokens_than_rows_of_the_embedding(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="384 tokens over an embedding of 300 rows"):
        vocabulary.read(tiny_model, 300)


def test_another_family_is_refused_in_a_sentence(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    folder = ended(base)
    config = json.loads((base / "config.json").read_text()) | {"architectures": ["GemmaForCausalLM"]}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="GemmaForCausalLM can't be written as GGUF here, only Llama, Mistral, Qwen2"):
        export(found(folder), "gguf", None, silent)


def test_a_class_that_the_model_is_not_loaded_with_is_refused(tmp_path: Path) -> None:
    config = json.loads((make_model(tmp_path / "m") / "config.json").read_text())
    assert families.of(config).arch == "llama"
    with pytest.raises(UserError, match="names LlamaForCausalLM, but the model is of the kind 'granite', which can't"):
        families.of(config | {"model_type": "granite"})


def test_what_a_gguf_does_not_say_is_refused(tmp_path: Path) -> None:
    config = json.loads((make_model(tmp_path / "m") / "config.json").read_text())
    yarn = {"rope_type": "yarn", "factor": 4.0, "beta_fast": 32, "attention_factor": None}
    families.of(config | {"rope_scaling": yarn})
    with pytest.raises(UserError, match="yarn with beta_fast 16 can't be written"):
        families.of(config | {"rope_scaling": yarn | {"beta_fast": 16}})
    with pytest.raises(UserError, match="the activation gelu can't be written"):
        families.of(config | {"hidden_act": "gelu"})


@pytest.mark.parametrize("classes", [None, [], ["PeftModelForCausalLM"]], ids=str)
def test_without_a_class_of_its_own_the_kind_counts(classes: Any, tmp_path: Path) -> None:
    config = json.loads((make_model(tmp_path / "m", "qwen2") / "config.json").read_text())
    assert families.of(config | {"architectures": classes}).arch == "qwen2"


def test_one_matrix_under_the_heads_name_and_numbers_of_64_bits(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    weights["lm_head.weight"] = weights.pop("model.embed_tokens.weight").double()
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})

    _, tensors = read(exported(base, dtype="f16"))

    wanted = weights["lm_head.weight"].numpy()
    np.testing.assert_allclose(tensors["token_embd.weight"], wanted, atol=1e-3)
    assert "output.weight" not in tensors


def test_an_adapter_on_a_head_that_is_the_embedding(tmp_path: Path) -> None:
    folder = ended(make_model(tmp_path / "base"), target_modules="q_proj,lm_head")
    with pytest.raises(UserError, match="on a head that is the embedding too"):
        export(found(folder), "gguf", None, silent, adapter=True)


def test_a_window_that_llama_cpp_does_not_keep_is_said() -> None:
    assert "the last 4,096 tokens" in families.not_kept({"sliding_window": 4096})[0]
    assert families.not_kept({"sliding_window": 4096, "use_sliding_window": False}) == families.not_kept({}) == ()


def test_without_the_package_a_sentence_says_how_to_get_it(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(UserError, match=r"needs the package gguf: pip install 'fttui\[gguf\]'"):
        gguf_write.library()


def test_numbers_too_large_for_f16(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    folder = ended(base, method="full")
    path = folder.result / "model.safetensors"
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e6
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"too large for f16; use --dtype bf16"):
        export(found(folder), "gguf", None, silent, dtype="f16")
    assert not (folder.path / "export" / "gguf").exists()


def test_options_that_do_not_go_together(tiny_model: Path) -> None:
    folder = found(ended(tiny_model))
    with pytest.raises(UserError, match="--dtype q8_0 is for --to gguf"):
        export(folder, "merged", None, silent, dtype="q8_0")
    with pytest.raises(UserError, match="--adapter is for --to gguf alone"):
        export(folder, "vllm", None, silent, adapter=True)
    with pytest.raises(UserError, match="a full fine-tuning has no adapter"):
        export(found(ended(tiny_model, method="full")), "gguf", None, silent, adapter=True)
