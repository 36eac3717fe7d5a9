"""Write a GGUF: sizes, vocabulary, chat template, then tensor by tensor. Memory is a few times the largest matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from backend.data.chat.endings import end_of_turn
from backend.data.chat.template import Refusal
from backend.data.chat.tokenizer import TextTokenizer
from backend.errors import UserError
from backend.export.gguf import families, vocabulary
from backend.export.gguf.vocabulary import Space, Vocabulary
from backend.export.source import ExportSource
from backend.model import headers

if TYPE_CHECKING:
    from backend.training.merging.updates import LowRank

Dtype = Literal["f16", "bf16", "q8_0"]
_QUANTS = {"f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}
_FILE_TYPES = {"f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
_ROPE_FREQS = "rope_freqs.weight"


def library() -> Any:
    """The `gguf` package. Raises UserError if it is not installed."""
    try:
        import gguf
    except ImportError:
        raise UserError("writing GGUF needs the package gguf: pip install 'fttui[gguf]'", "to") from None
    return gguf


def refuse(base: Path, result: Path) -> None:
    """Raise UserError for what can't be written, before anything is merged into `base`."""
    library()
    config = families.config_of(base)
    families.of(config)
    vocabulary.read(result, int(config["vocab_size"]))


def stored_type(folder: Path) -> Dtype:
    """`bf16` if the weights of a model folder are stored so, else `f16`."""
    types = {x["dtype"] for path in headers.weight_files(folder) for x in headers.header(path).values()}
    return "bf16" if "BF16" in types else "f16"


def model(
    source: ExportSource,
    folder: Path,
    target: Path,
    dtype: Dtype,
    *,
    begins: bool | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the whole model in `folder` as the file `target`; `tell` gets how many of how many tensors are written.

    `begins`: whether the runner puts BOS before a prompt; by default as the tokenizer does.
    """
    from backend.export.gguf import tensors

    gguf = library()
    config = families.config_of(folder)
    family = families.of(config)
    names = gguf.get_tensor_name_map(_arch(gguf, family.arch), int(config["num_hidden_layers"]))
    found = tensors.entries(folder, config, family, names)
    with _writer(gguf, target, family.arch) as writer:
        _describe(writer, source, "model")
        writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[dtype]])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add_keys(writer, families.keys(config, family.arch))
        _add_vocabulary(writer, source, vocabulary.read(folder, int(config["vocab_size"])), begins)
        divisors = families.frequency_divisors(config)
        extra = [] if divisors is None else [np.array(divisors, np.float32)]
        for array in extra:
            writer.add_tensor_info(_ROPE_FREQS, array.shape, array.dtype, array.nbytes)
        types = [_type(gguf, entry.shape, dtype) for entry in found]
        for entry, quant in zip(found, types, strict=True):
            writer.add_tensor_info(entry.name, entry.shape, None, _bytes(gguf, entry.shape, quant), raw_dtype=quant)
        _start_data(writer)
        for array in extra:
            writer.write_tensor_data(array)
        for number, (entry, quant) in enumerate(zip(found, types, strict=True)):
            tell(number, len(found))
            writer.write_tensor_data(tensors.array(entry, gguf.quants.quantize, quant))


def adapter(source: ExportSource, base: Path, target: Path) -> None:
    """Write the adapter alone, in float32, for a GGUF of its base. Raises UserError if it is not of plain matrices."""
    from backend.export.gguf import tensors
    from backend.training.merging import updates as merging

    gguf = library()
    updates = merging.low_rank(merging.of(source.result))
    if not updates:
        raise UserError(
            "this adapter is more than two matrices a layer; export the merged model: without --adapter", "to"
        )
    config = families.config_of(base)
    family = families.of(config)
    if tensors.HEAD in updates and config.get("tie_word_embeddings"):
        raise UserError(
            "this adapter is on a head that is the embedding too, which llama.cpp has no matrix of its own for; "
            "export the merged model: without --adapter",
            "to",
        )
    names = gguf.get_tensor_name_map(_arch(gguf, family.arch), int(config["num_hidden_layers"]))
    with _writer(gguf, target, family.arch) as writer:
        _describe(writer, source, "adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", _alpha(updates))
        arrays = list(tensors.adapter_arrays(updates, config, family, names))
        for name, array in arrays:
            writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def _writer(gguf: Any, target: Path, arch: str) -> closing[Any]:
    return closing(gguf.GGUFWriter(target, arch))


def _start_data(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()


def _describe(writer: Any, source: ExportSource, kind: str) -> None:
    writer.add_type(kind)
    writer.add_name(source.folder.name)
    if source.job.hub_id:
        organization, _, name = source.job.hub_id.rpartition("/")
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, name)
        if organization:
            writer.add_base_model_organization(0, organization)
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{source.job.hub_id}")


def _add_keys(writer: Any, keys: dict[str, int | float | str]) -> None:
    for key, value in keys.items():
        add = writer.add_string if isinstance(value, str) else writer.add_float32
        (writer.add_uint32 if isinstance(value, int) else add)(key, value)


def _add_vocabulary(writer: Any, source: ExportSource, known: Vocabulary, begins: bool | None) -> None:
    tokenizer = source.tokenizer
    writer.add_tokenizer_model(known.model)
    writer.add_tokenizer_pre(known.pre)
    writer.add_token_list(known.tokens)
    writer.add_token_types(known.kinds)
    if known.merges:
        writer.add_token_merges(known.merges)
    if known.scores:
        writer.add_token_scores(known.scores)
        writer.add_add_space_prefix(_adds_space(tokenizer, known.space_before))
    for name, add in (
        ("bos_token", writer.add_bos_token_id),
        ("eos_token", writer.add_eos_token_id),
        ("unk_token", writer.add_unk_token_id),
        ("pad_token", writer.add_pad_token_id),
    ):
        if (found := tokenizer.token_id(name)) is not None:
            add(found)
    if (end := end_of_turn(tokenizer)) is not None:
        writer.add_eot_token_id(end)
    writer.add_add_bos_token(tokenizer.adds_bos if begins is None else begins)
    writer.add_add_eos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _adds_space(tokenizer: TextTokenizer, when: Space) -> bool:
    """llama.cpp puts a space before a text after each mark, or never.

    A tokenizer that does so only at the very start never does within a chat that begins with a mark.
    """
    if when != "first":
        return when == "always"
    try:
        chat = tokenizer.render([{"role": "user", "content": "x"}], add_generation_prompt=True)
    except Refusal:
        return True
    return tokenizer.special_pattern.match(chat) is None


def _type(gguf: Any, shape: tuple[int, ...], dtype: Dtype) -> Any:
    """The number type of a tensor: float32 for vectors, and f16 if a matrix's rows are not whole blocks of q8_0."""
    types = gguf.GGMLQuantizationType
    if len(shape) == 1:
        return types.F32
    block, _ = gguf.GGML_QUANT_SIZES[types[_QUANTS[dtype]]]
    return types[_QUANTS[dtype]] if shape[-1] % block == 0 else types.F16


def _bytes(gguf: Any, shape: tuple[int, ...], quant: Any) -> int:
    block, size = gguf.GGML_QUANT_SIZES[quant]
    count = 1
    for length in shape:
        count *= length
    return int(count // block * size)


def _arch(gguf: Any, name: str) -> Any:
    return next(arch for arch, text in gguf.MODEL_ARCH_NAMES.items() if text == name)


def _alpha(updates: Mapping[str, LowRank]) -> float:
    """The scale's numerator: llama.cpp multiplies by alpha / rank, whatever the scale was made of."""
    one = next(iter(updates.values()))
    return one.scale * one.a.shape[0]
