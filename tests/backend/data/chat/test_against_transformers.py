"""Text and ids held against transformers itself, the reference for both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import tokenize
from backend.data.conversation import Conversation, Message, Text
from backend.data.turns.turns import message

TEMPLATES = Path(__file__).parent / "templates"
MARKS = {
    "smollm2": ("<|im_start|>", "<|im_end|>"),
    "qwen3": ("<|im_start|>", "<|im_end|>"),
    "generation": ("<|im_start|>", "<|im_end|>"),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"),
    "mistral": ("<s>", "</s>", "[INST]", "[/INST]"),
    "gemma": ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    "r1": ("<|begin|>", "<|end|>", "<|User|>", "<|Assistant|>"),
}
CORPUS = [
    "How many apples are left? Tom has 7 apples.\n\nuser assistant system model <think> </think> [] {}",
    "Größe 你好",
]
QUESTION = {"role": "user", "content": "How many apples are left?  "}
ANSWER = {"role": "assistant", "content": "Tom has 7 – größer, 你好 🙂."}
CHATS: dict[str, list[dict[str, Any]]] = {
    "one turn": [QUESTION, ANSWER],
    "system": [{"role": "system", "content": "Be brief."}, QUESTION, ANSWER],
    "three turns": [QUESTION, ANSWER, {"role": "user", "content": "And\nnow?"}, {"role": "assistant", "content": " 8"}],
    "thinking": [
        QUESTION,
        {"role": "assistant", "content": "<think>\n10 - 3\n</think>\n\nSeven"},
        QUESTION,
        {"role": "assistant", "content": "<think>\n10 - 2\n</think>\n\nEight"},
    ],
    "call": [
        QUESTION,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "count", "arguments": {"of": "Äpfel", "n": 3}}}],
        },
        {"role": "tool", "content": '{"left": 7}', "name": "count"},
        ANSWER,
        QUESTION,
        ANSWER,
    ],
}
UNKNOWN = {
    "system": ("gemma", "r1", "mistral"),  # no place for a system prompt in a whole conversation
    "call": ("smollm2", "generation", "gemma", "r1"),
}
TOOLS = [{"type": "function", "function": {"name": "count", "description": "Zählt <b>", "parameters": {}}}]


def make_folder(folder: Path, name: str, sentencepiece: bool = False) -> Path:
    """A tokenizer with the template's marks: byte-level BPE, or BPE over metaspaces with byte fallback."""
    folder.mkdir(parents=True)
    marks = list(MARKS[name])
    if sentencepiece:
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        marks = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *marks]
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = [] if sentencepiece else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    bos, eos = MARKS[name][:2]
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos, "pad_token": eos}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text((TEMPLATES / f"{name}.jinja").read_text())
    return folder


def conversation(chat: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Conversation:
    return Conversation(tuple(message(turn, "row 1") for turn in chat), tuple(tools), 1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    return {(name, sp): make_folder(root / f"{name}-{sp}", name, sp) for name in MARKS for sp in (False, True)}


@pytest.mark.parametrize("sentencepiece", [False, True])
@pytest.mark.parametrize(
    ("name", "chat"), [(name, chat) for name in MARKS for chat in CHATS if name not in UNKNOWN.get(chat, ())]
)
def test_ids_are_those_of_apply_chat_template(
    folders: dict[tuple[str, bool], Path], name: str, chat: str, sentencepiece: bool
) -> None:
    from transformers import AutoTokenizer

    folder = folders[name, sentencepiece]
    theirs = AutoTokenizer.from_pretrained(folder)
    ours = TextTokenizer.load(folder)
    tools = TOOLS if chat == "call" else []
    row = tokenize(conversation(CHATS[chat], tools), ours)
    expected = theirs.apply_chat_template(CHATS[chat], tools=tools or None, tokenize=True, return_dict=False)
    assert row.ids.tolist() == expected
    prompt = theirs.apply_chat_template(
        CHATS[chat][:-1], tools=tools or None, tokenize=False, add_generation_prompt=True
    )
    assert ours.render(CHATS[chat][:-1], tools, add_generation_prompt=True) == prompt


def test_plain_text_gets_the_tokens_that_transformers_would_add(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = make_folder(tmp_path / "llama3", "llama3")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bos = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
    tokenizer.save(str(folder / "tokenizer.json"))
    theirs = AutoTokenizer.from_pretrained(folder)
    row = tokenize(Text("Tom has 7 apples."), TextTokenizer.load(folder))
    assert row.ids.tolist() == [*theirs("Tom has 7 apples.")["input_ids"], theirs.eos_token_id]
    assert row.ids[0] == theirs.bos_token_id
    again = tokenize(Text("<|begin_of_text|>Tom<|eot_id|>"), TextTokenizer.load(folder)).ids.tolist()
    assert again.count(theirs.bos_token_id) == 1
    assert again.count(theirs.eos_token_id) == 1


def test_a_token_that_only_the_config_names_has_the_same_id(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = make_folder(tmp_path / "smollm2", "smollm2")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config | {"pad_token": {"__type": "AddedToken", "content": "<|pad|>"}})
    )
    theirs, ours = AutoTokenizer.from_pretrained(folder), TextTokenizer.load(folder)
    assert ours.token_id("pad_token") == theirs.pad_token_id
    assert ours.encode("a<|pad|>b").ids == theirs("a<|pad|>b", add_special_tokens=False)["input_ids"]


OLDER: dict[str, dict[str, dict[str, Any]]] = {
    "the map alone": {
        "tokenizer_config.json": {"eos_token": None},
        "special_tokens_map.json": {"eos_token": "<|im_start|>", "pad_token": {"content": "<|pad|>"}},
    },
    "the map says otherwise": {"special_tokens_map.json": {"eos_token": "<|im_start|>"}},
    "a map that no longer counts": {
        "tokenizer_config.json": {"added_tokens_decoder": {"9": {"content": "<|new|>", "special": True}}},
        "special_tokens_map.json": {"eos_token": "<|im_start|>"},
    },
    "further tokens": {"tokenizer_config.json": {"additional_special_tokens": ["<|pad|>", "<|new|>"]}},
    "further tokens by name": {"tokenizer_config.json": {"extra_special_tokens": {"image_token": "<|new|>"}}},
    "further tokens in the map": {"special_tokens_map.json": {"additional_special_tokens": ["<|new|>"]}},
    "a file of added tokens": {"added_tokens.json": {"<|new|>": 9001, "<|pad|>": 9000}},
}


@pytest.mark.parametrize("case", OLDER)
def test_tokens_of_older_files_are_those_of_transformers(case: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = make_folder(tmp_path / "smollm2", "smollm2")
    for name, settings in OLDER[case].items():
        path = folder / name
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(before | settings))
    theirs, ours = AutoTokenizer.from_pretrained(folder), TextTokenizer.load(folder)
    assert ours.token_id("eos_token") == theirs.eos_token_id
    text = "a<|pad|>b <|new|> c<|im_end|>"
    assert ours.encode(text).ids == theirs(text, add_special_tokens=False)["input_ids"]


def test_messages_carry_only_what_templates_read() -> None:
    assert message(ANSWER, "row 1") == Message("assistant", ANSWER["content"], scored=True)
