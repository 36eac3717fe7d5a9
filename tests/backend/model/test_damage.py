"""Damaged and unusual models: each is trained as it is, or refused by the plan in one sentence."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.errors import UserError
from backend.model.local import read_folder
from tests.backend.model import damage as d
from tests.tiny import make_model

FACTORS = [1.0] * 3


def _forget(path: Path, key: str) -> None:
    said = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in said.items() if name != key}))


REFUSED: dict[str, tuple[d.Edit, str]] = {
    # tensors
    "a tensor is missing": (d.without(d.NORM), f"1 tensor is missing from the files, the first is {d.NORM}"),
    "a matrix is missing": (d.without(d.QUERY), f"the first is {d.QUERY}"),
    "a wrapper's tensor is missing": (d.wrapped(missing=d.QUERY), f"1 tensor is missing .* {d.QUERY}"),
    "a name is another": (d.renamed("q_proj", "query"), r"2 tensors are there instead, the first is .*query\.weight"),
    "a prefix is another": (d.renamed("model.", "language_model.model."), "20 tensors are missing"),
    "a tensor has no place": (
        d.with_tensor("model.extra.weight", d.NORM),
        "without a place in the model, the first is",
    ),
    "a bias has no place": (d.with_tensor(d.QUERY[:-6] + "bias", d.NORM), r"the first is .*q_proj\.bias"),
    "a matrix is transposed": (
        d.tensors(lambda x: x.__setitem__(d.QUERY, np.zeros((32, 128), np.float32))),
        "has the shape 32x128 where config.json means 64x64",
    ),
    "more layers in config.json": (d.config(num_hidden_layers=3), r"9 tensors are missing .* model\.layers\.2\."),
    "fewer layers in config.json": (d.config(num_hidden_layers=1), r"9 tensors are in the files without a place"),
    "another width in config.json": (d.config(intermediate_size=96), "where config.json means 96x64"),
    "another vocabulary": (d.config(vocab_size=390), "384x64 where config.json means 390x64"),
    "another family": (d.config(model_type="qwen2"), r"6 tensors are missing .*q_proj\.bias"),
    "a family with norms more": (d.config(model_type="qwen3"), r"4 tensors are missing .*k_norm\.weight"),
    "more blocks of a family that nobody listed": (
        d.config(model_type="doge", num_hidden_layers=3),
        "means 3 blocks, of which number 2 is not in the files",
    ),
    "another vocabulary of one": (d.config(model_type="doge", vocab_size=390), "for each of the 390 tokens"),
    "an untied head is missing": (d.config(tie_word_embeddings=False), "the first is lm_head.weight"),
    "a tied head differs": (d.with_tensor(d.HEAD, d.EMBEDDING, 2.0), "set tie_word_embeddings to false"),
    "a tied head of another type": (
        d.tensors(lambda x: x.__setitem__(d.HEAD, x[d.EMBEDDING].astype(np.float16))),
        "set tie_word_embeddings to false",
    ),
    "a tied head with more rows": (
        d.tensors(lambda x: x.__setitem__(d.HEAD, np.zeros((386, 64), np.float32))),
        "set tie_word_embeddings to false",
    ),
    "quantised tensors": (
        d.header(lambda x: x[d.QUERY].update(dtype="F8_E4M3")),
        f"its tensor {re.escape(d.QUERY)} is F8_E4M3",
    ),
    "whole numbers as weights": (d.header(lambda x: x[d.QUERY].update(dtype="I32")), "is I32, which can't be trained"),
    "a value that is no number": (d.with_values(d.QUERY, float("nan")), f"{re.escape(d.QUERY)} of m holds values that"),
    "an infinite value in 16 bits": (
        d.tensors(lambda x: x.__setitem__(d.NORM, np.full(64, np.inf, np.float16))),
        "values that are no numbers",
    ),
    # files
    "shards without their index": (d.both(d.shards(), d.removed(d.INDEX)), f"in parts .* without {d.INDEX}"),
    "a shard is missing": (
        d.both(d.shards(), d.removed("model-00002-of-00002.safetensors")),
        "00002-of-00002.* missing",
    ),
    "the index names too many": (
        d.shards(index=lambda x: x | {"y.weight": min(x.values())}),
        "names y.weight, which none",
    ),
    "the index leads elsewhere": (d.shards(index=lambda x: {k: f"../{v}" for k, v in x.items()}), "is missing"),
    "the index is broken": (d.both(d.shards(), d.content(d.INDEX, "{")), "is damaged; download the model again"),
    "a tensor in two shards": (d.shards(lambda names: [names, names[:1]]), "is in several files"),
    "cut short": (d.cut_short, "is cut short"),
    "bytes after the end": (
        d.content("model.safetensors", lambda raw: raw + bytes(9)),
        "9 bytes follow its last tensor",
    ),
    "an empty file": (d.content("model.safetensors", b""), "it is empty"),
    "zeros": (d.content("model.safetensors", bytes(9999)), "its header can't be read"),
    "a page of a website": (d.content("model.safetensors", "<!DOCTYPE html><html>"), "its header can't be read"),
    "a pointer of Git LFS": (
        d.content("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "git lfs pull",
    ),
    "offsets that overlap": (
        d.header(lambda x: x[d.QUERY]["data_offsets"].__setitem__(0, 0)),
        "its header can't be read",
    ),
    "a shape of other bytes": (
        d.header(lambda x: x[d.NORM].update(shape=[65])),
        "has 256 bytes, which is not what F32",
    ),
    "a type that is unknown": (d.header(lambda x: x["model.norm.weight"].update(dtype="F13")), "F13"),
    "a link to nothing": (d.linked_to_nothing, "a link to a file that is gone"),
    "a download goes on": (d.moved("model.safetensors", "model.safetensors.incomplete"), "has not ended"),
    "the maker's own format": (d.moved("model.safetensors", "consolidated.safetensors"), "the maker's own format"),
    "another name": (d.moved("model.safetensors", "diffusion_model.safetensors"), "rename it if it is the model"),
    "pickles": (d.moved("model.safetensors", "pytorch_model-00001-of-00001.bin"), "pickle files only"),
    "a checkpoint of torch": (d.moved("model.safetensors", "model.pt"), "pickle files only"),
    "Keras": (d.moved("model.safetensors", "tf_model.h5"), "as tf_model.h5 only"),
    "GGUF": (d.moved("model.safetensors", "model.gguf"), "is a GGUF"),
    "another file named in config.json": (
        d.both(d.shards(), d.config(transformers_weights="model-00001-of-00002.safetensors")),
        r"by which another file than model\.safetensors\.index\.json would be loaded",
    ),
    "an adapter beside it": (d.content("adapter_config.json", "{}"), "holds an adapter beside the model"),
    "settings of generation": (d.content("generation_config.json", "[]"), "generation_config.json is broken"),
    "a number of generation as text": (
        d.content("generation_config.json", '{"temperature": "hot"}'),
        "temperature 'hot', which is no number",
    ),
    "no new tokens at all": (
        d.content("generation_config.json", '{"max_new_tokens": 0}'),
        "max_new_tokens 0, which has to be above 0",
    ),
    "several greedy answers": (
        d.content("generation_config.json", '{"num_return_sequences": 3}'),
        "num_return_sequences 3, which without sampling",
    ),
    "an early stop of its own": (
        d.content("generation_config.json", '{"early_stopping": "foo"}'),
        "early_stopping 'foo', which is true, false or never",
    ),
    "settings of a compiler": (
        d.content("generation_config.json", '{"compile_config": {"x": 1}}'),
        "compile_config, which only code",
    ),
    "a length of texts as text": (
        d.content("tokenizer_config.json", '{"model_max_length": "512"}'),
        "model_max_length '512', which is no number",
    ),
    "padding in the middle": (
        d.content("tokenizer_config.json", '{"padding_side": "middle"}'),
        "padding_side 'middle', which is right or left",
    ),
    "a template that is a number": (
        d.content("tokenizer_config.json", '{"chat_template": 3}'),
        "chat_template 3, which is no template",
    ),
    "a tokenizer with own code": (
        d.content("tokenizer_config.json", '{"tokenizer_class": "X", "auto_map": {"AutoTokenizer": ["x.X", null]}}'),
        "Python code from its own repository",
    ),
    # config.json
    "quantised": (d.config(quantization_config={"quant_method": "awq"}), r"already quantised \(awq\)"),
    "quantised, inside": (d.config(text={"quantization_config": {}}), "already quantised"),
    "compressed": (d.config(compression_config={"format": "pack-quantized"}), "compressed-tensors"),
    "a classifier": (d.config(architectures=["LlamaForSequenceClassification"]), "not a causal language model"),
    "without a head": (d.config(architectures=["LlamaModel"]), "not a causal language model"),
    "no model_type": (d.config("model_type"), "has no model_type"),
    "an unknown model_type": (d.config(model_type="foo"), "unknown to the transformers"),
    "own code": (
        d.config(model_type="baichuan", auto_map={"AutoConfig": "x.Y"}),
        "Python code from its own repository",
    ),
    "a padding token beyond": (d.config(pad_token_id=384), "pad_token_id 384, but the embedding has 384 rows"),
    "a token that is a number": (
        d.content("tokenizer_config.json", '{"eos_token": 2}'),
        "says eos_token 2, where the text of a token should be",
    ),
    "an activation of its own": (d.config(hidden_act="foo"), "hidden_act 'foo'"),
    "an activation that is none": (d.config(hidden_act=["silu"]), r"hidden_act \['silu'\], which names no activation"),
    "a root of nothing": (d.config(rms_norm_eps=-1e-5), "rms_norm_eps -1e-05, which has to be at least 0"),
    "a number that is null": (d.config(attention_dropout=None), "attention_dropout null, where a number"),
    "heads that divide by nothing": (
        d.config(num_key_value_heads=3),
        "num_key_value_heads 3, of which num_attention_heads 4 is no multiple",
    ),
    "a base that is null": (d.config(rope_theta=None), "rope_theta null, where a number should be"),
    "an index without its metadata": (
        d.both(d.shards(), lambda folder: _forget(folder / d.INDEX, "metadata")),
        'has no "metadata", without which transformers',
    ),
    "an index whose metadata is null": (
        d.both(d.shards(), d.content(d.INDEX, lambda raw: raw.replace(b'"metadata": {}', b'"metadata": null'))),
        'has no "metadata"',
    ),
    "rope of no base": (d.config(rope_theta=0.0), "rope_theta 0.0, which has to be above 0"),
    "rope of no base, newly": (
        d.rope(rope_type="default", rope_theta=-1.0),
        "rope_theta -1.0, which has to be above 0",
    ),
    "a kind of layer that is none": (
        d.config(layer_types=["full_attention", "foo"]),
        "layer type 'foo', which transformers does not have",
    ),
    "a number as text": (d.config(rms_norm_eps="1e-5"), "rms_norm_eps '1e-5' as text"),
    "a truth value as text": (d.config(tie_word_embeddings="false"), "tie_word_embeddings 'false' as text"),
    "a type that is none": (d.config(dtype="int8"), "dtype 'int8'"),
    "a type with torch's name before it": (
        d.config(dtype="torch.float16"),
        "'torch.float16', which is written float16",
    ),
    "a length that is null": (
        d.config(max_position_embeddings=None),
        "max_position_embeddings null, where transformers takes a whole number",
    ),
    "a bias that is null": (
        d.config(attention_bias=None),
        "attention_bias null, where transformers takes true or false",
    ),
    "a truth value as a number": (d.config(tie_word_embeddings=1), "tie_word_embeddings 1, where"),
    "a token's number with a point": (d.config(bos_token_id=1.0), "bos_token_id 1.0, where .* a whole number or null"),
    "several padding tokens": (d.config(pad_token_id=[0]), r"pad_token_id \[0\], where"),
    "a padding token far below": (d.config(pad_token_id=-385), "pad_token_id -385, but the embedding has 384 rows"),
    "heads of no width": (d.config(head_dim=0), "head_dim 0, which is no size"),
    "two halves": (d.config(is_encoder_decoder=True), "not a causal language model .*is_encoder_decoder true"),
    "kinds of layers as text": (
        d.config(layer_types="full_attention"),
        "layer_types 'full_attention', which is no list",
    ),
    "a quantisation that is a list": (d.config(quantization_config=["int4"]), r"quantization_config \['int4'\], which"),
    "a dropout beyond all": (
        d.config(attention_dropout=2.0),
        "attention_dropout 2.0, which has to lie between 0 and 1",
    ),
    "another kernel": (d.config(_attn_implementation="flash_attention_9"), "flash_attention_9"),
    "kinds of too few layers": (
        d.config(layer_types=["full_attention"]),
        "num_hidden_layers 2, but layer_types names 1",
    ),
    "rope su": (d.rope(rope_type="su", factor=4.0), "rope type 'su'"),
    "rope without its factor": (d.rope(rope_type="yarn"), "rope type 'yarn' without factor"),
    "rope llama3 without all": (d.rope(rope_type="llama3", factor=8.0), "'llama3' without low_freq_factor"),
    "rope by nothing": (d.rope(rope_type="linear", factor=0), "has to be above 0"),
    "rope with few factors": (
        d.rope(rope_type="longrope", short_factor=FACTORS, long_factor=FACTORS),
        "3 numbers as short_factor, where a head of 16 takes 8",
    ),
    "rope of a null kind": (d.rope(rope_type=None, factor=2.0), "rope type null, which names none"),
    "rope of two kinds": (d.rope(rope_type=["linear"], factor=2.0), r"rope type \['linear'\], which names none"),
    "rope with a factor that is null": (d.rope(rope_type="linear", factor=None), "'linear' without factor"),
    "rope with a number as text": (d.rope(rope_type="default", rope_theta="10000"), "rope_theta '10000' as text"),
    "rope as text": (d.config(rope_scaling="linear"), "rope_scaling 'linear'"),
    "a size as text": (d.config(num_hidden_layers="2"), "num_hidden_layers is '2', which is no size"),
    "a width that is none": (d.config(head_dim=[16]), r"head_dim \[16\], which is no size"),
    "a window that is none": (d.config(sliding_window="all"), "sliding_window 'all', which is no size"),
    "classes that are no list": (d.config(architectures=1), "architectures 1, which is no list"),
    "a size below nothing": (d.config(num_hidden_layers=-1), "is -1, which is no size"),
}
ACCEPTED: dict[str, d.Edit] = {
    "as it is": lambda folder: None,
    "shards": d.shards(),
    "its file named in config.json": d.config(transformers_weights="model.safetensors"),
    "shards of which the index leaves one tensor out": d.shards(index=lambda x: dict(list(x.items())[1:])),
    "without the prefix": d.renamed("model.", ""),
    "a tied head stored twice": d.with_tensor(d.HEAD, d.EMBEDDING),
    "a tied head stored alone": d.renamed(d.EMBEDDING, d.HEAD),
    "old rotary buffers": d.with_tensor("model.layers.0.self_attn.rotary_emb.inv_freq", d.NORM),
    "a block that predicts several tokens": d.both(
        d.with_tensor("model.layers.2.eh_proj.weight", d.QUERY), d.config(num_nextn_predict_layers=1)
    ),
    "settings of an old quantiser": d.content("quantize_config.json", '{"bits": 4}'),
    "code that is not needed": d.config(auto_map={"AutoConfig": "x.Y"}),
    "rope in its old spelling": d.config(
        "rope_theta", rope_theta=10000, rope_scaling={"type": "dynamic", "factor": 2.0}
    ),
    "another type than it says": d.config(torch_dtype="float16"),
    "another class than it says": d.config(architectures=["FooForCausalLM"]),
    "no class": d.config(architectures=None),
    "no quantisation": d.config(quantization_config=None),
    "optimizer states beside it": d.content("optimizer.pt", b"x"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("whole") / "m")


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_sentence(case: str, whole: Path, tmp_path: Path) -> None:
    edit, said = REFUSED[case]
    folder = Path(shutil.copytree(whole, tmp_path / "m"))
    edit(folder)

    with pytest.raises(UserError, match=said) as error:
        read_folder(folder, "m")

    assert error.value.field == "model"
    assert "\n" not in str(error.value)


def test_a_wrapper_is_planned(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "m"))
    d.wrapped()(folder)

    shape = read_folder(folder, "m").shape

    assert shape.parameters == read_folder(whole, "m").shape.parameters + 64
    assert shape.frozen_parameters == 64


@pytest.mark.parametrize("case", ACCEPTED)
def test_it_is_planned_as_it_is(case: str, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "m"))
    ACCEPTED[case](folder)

    shape, expected = (replace(read_folder(x, "m").shape, whole_modules=()) for x in (folder, whole))
    assert shape == expected
