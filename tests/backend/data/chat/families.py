"""Chat templates of model families, reconstructed by their structure, and what the targets of each should be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEMPLATES = Path(__file__).parent / "templates"
CORPUS = [
    "How many apples are left? Tom has 7 apples.\n\nuser assistant system model <think> </think> [] {}",
    "Größe 你好",
]


class Family(NamedTuple):
    """A chat template's facts, known independently of the code under test."""

    end: str
    """The token that the model writes last and that ends generation."""
    header: str
    """The text right before the model's answer."""
    bos: str = "<s>"
    eos: str = ""
    """`end` if not given."""
    earlier: str | None = None
    """What ends an answer that other turns follow: `end` if None; empty if no token that generation stops at."""
    last_lead: str = ""
    """What the model writes before its last answer, with no thought given."""
    lead: str = ""
    """The same before earlier answers."""
    earlier_header: str | None = None
    """The text before an answer that other turns follow; `header` if None."""
    appended: str = ""
    """What ends the last answer if the template writes no end; EOS if empty."""
    marks: tuple[str, ...] = ()
    """Further special tokens, which the template's source does not spell out."""


IM = Family("<|im_end|>", "<|im_start|>assistant\n")
HEADERS = Family("<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>\n\n", bos="<|begin_of_text|>")
DEEP = Family("<｜end▁of▁sentence｜>", "<｜Assistant｜>", bos="<｜begin▁of▁sentence｜>")
ROLE = Family("<|end_of_text|>", "<|start_of_role|>assistant<|end_of_role|>")
GEMMA = Family("<end_of_turn>", "<start_of_turn>model\n", bos="<bos>", eos="<eos>")
ROLES = ("<|user|>", "<|assistant|>", "<|system|>", "<|tool|>")

FAMILIES: dict[str, Family] = {
    "alpaca": Family("</s>", "### Response:\n"),
    "always_opens": IM,
    "baichuan": Family("", "<reserved_107>", eos="</s>", marks=("<reserved_106>", "<reserved_107>")),
    "chatml": IM,
    "command_a": Family(
        "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>",
        eos="<|END_OF_TURN_TOKEN|>",
        header="<|CHATBOT_TOKEN|>",
        last_lead="<|START_RESPONSE|>",
        lead="<|START_RESPONSE|>",
    ),
    "command_r": Family(
        "<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>", marks=("<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>")
    ),
    "deepseek_r1": DEEP,
    "deepseek_v2": Family("</s>", "Assistant:", last_lead=" ", lead=" "),
    "deepseek_v3": DEEP,
    "deepseek_v3_1": DEEP._replace(header="<｜Assistant｜></think>"),
    "ernie": Family("<|end_of_sentence|>", "Assistant: "),
    "exaone": Family(
        "[|endofturn|]", "[|assistant|]", marks=("[|user|]", "[|assistant|]", "[|system|]", "[|endofturn|]")
    ),
    "exaone4": Family(
        "[|endofturn|]",
        "[|assistant|]\n<think>\n\n</think>\n\n",
        earlier_header="[|assistant|]\n",
        marks=("[|user|]", "[|assistant|]", "[|system|]", "[|tool|]", "[|endofturn|]"),
    ),
    "falcon": Family("", "Assistant:", eos="<|endoftext|>", last_lead=" ", lead=" "),
    "falcon3": Family("<|endoftext|>", "<|assistant|>\n", marks=ROLES),
    "gemma": GEMMA,
    "gemma3": GEMMA,
    "gemma4": Family("<turn|>", "<|turn>model\n", bos="<bos>", eos="<eos>"),
    "generation": IM,
    "generation_parts": IM,
    "glm4": Family(
        "", "<|assistant|>", eos="<|endoftext|>", last_lead="\n", lead="\n", marks=(*ROLES, "<|observation|>")
    ),
    "glm4_5": Family(
        "",
        "<|assistant|>",
        eos="<|endoftext|>",
        last_lead="\n<think></think>\n",
        lead="\n<think></think>\n",
        marks=(*ROLES, "<|observation|>"),
    ),
    "granite3": ROLE,
    "granite4": ROLE,
    "harmony": Family(
        "<|return|>",
        "<|start|>assistant",
        earlier="",
        last_lead="<|channel|>final<|message|>",
        lead="<|channel|>final<|message|>",
    ),
    "hermes": IM,
    "hunyuan": Family("<｜hy_place▁holder▁no▁2｜>", "<｜hy_Assistant｜>"),
    "internlm2": IM,
    "jamba": Family("<|eom|>", "<|assistant|> ", marks=ROLES),
    "kimi_k2": Family("<|im_end|>", "<|im_assistant|>assistant<|im_middle|>"),
    "llama2": Family(" </s>", "[/INST]", eos="</s>", last_lead=" ", lead=" "),
    "llama3": HEADERS,
    "llama3_2": HEADERS,
    "llama3_plain": HEADERS,
    "llama4": Family("<|eot|>", "<|header_start|>assistant<|header_end|>\n\n"),
    "magistral": Family("</s>", "[/INST]"),
    "minicpm": Family("", "<AI>", eos="</s>", marks=("<用户>", "<AI>")),
    "minimax_m1": Family(
        "<end_of_sentence>",
        "<beginning_of_sentence>ai name=assistant\n",
        marks=("<beginning_of_sentence>", "<end_of_sentence>"),
    ),
    "minimax_m2": Family("[e~[", "]~b]ai\n", marks=("]~b]", "[e~[", "]~!b[")),
    "mistral": Family("</s>", "[/INST]", last_lead=" ", lead=" "),
    "mistral_tekken": Family("</s>", "[/INST]"),
    "mistral_v1": Family("</s>", "[/INST]"),
    "mistral_v3": Family("</s>", "[/INST]", last_lead=" ", lead=" "),
    "nemotron4": Family(
        "", "<extra_id_1>Assistant\n", eos="</s>", appended="\n</s>", marks=("<extra_id_0>", "<extra_id_1>")
    ),
    "nemotron_nano": Family(
        "\n<SPECIAL_12>", "<SPECIAL_10>Assistant\n", eos="<SPECIAL_12>", marks=("<SPECIAL_10>", "<SPECIAL_12>")
    ),
    "olmo2": Family("<|endoftext|>", "<|assistant|>\n", marks=ROLES),
    "openchat": Family("<|end_of_turn|>", "GPT4 Correct Assistant:", last_lead=" ", lead=" "),
    "parts_only": IM,
    "phi3": Family(
        "<|end|>\n<|endoftext|>", "<|assistant|>\n", eos="<|endoftext|>", earlier="<|end|>", marks=(*ROLES, "<|end|>")
    ),
    "phi4": IM._replace(header="<|im_start|>assistant<|im_sep|>"),
    "phi4_mini": Family(
        "<|end|><|endoftext|>", "<|assistant|>", eos="<|endoftext|>", earlier="<|end|>", marks=(*ROLES, "<|end|>")
    ),
    "phi4_reasoning": IM._replace(header="<|im_start|>assistant<|im_sep|>"),
    "qwen2": IM,
    "qwen2_5": IM,
    "qwen3": IM._replace(last_lead="<think>\n\n</think>\n\n"),
    "qwen3_coder": IM,
    "qwen3_thinking": IM._replace(
        header="<|im_start|>assistant\n<think>\n", earlier_header="<|im_start|>assistant\n", last_lead="\n</think>\n\n"
    ),
    "qwq": IM,
    "r1": Family("<|end|>", "<|Assistant|>", bos="<|begin|>"),
    "seed_oss": Family(
        "<seed:eos>", "<seed:bos>assistant\n", marks=("<seed:bos>", "<seed:eos>", "<seed:think>", "</seed:think>")
    ),
    "smollm2": IM,
    "smollm3": IM,
    "stablelm": Family("<|endoftext|>", "<|assistant|>\n", marks=("<|endoftext|>",)),
    "typed_parts": IM,
    "vicuna": Family("</s>", "ASSISTANT:", last_lead=" ", lead=" "),
    "zephyr": Family("</s>", "<|assistant|>\n"),
}
_SPELT = re.compile(
    r"<\|[A-Za-z_][^|'\" ]*\|>|<｜[^｜'\"]+｜>|\[/?[A-Z_]{3,}\]|<(?:start|end)_of_turn>|<\|?turn\|?>|\[gMASK\]|<sop>"
)


def folder_of(root: Path, name: str) -> Path:
    """A model folder with the family's template and a tokenizer that has its special tokens."""
    family = FAMILIES[name]
    source = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    ends = [x for x in re.findall(r"<[^<>]+>|\[[^\[\]]+\]|\[e~\[", family.end) if x]
    eos = family.eos or family.end
    marks = list(dict.fromkeys([family.bos, eos, *ends, *family.marks, *_SPELT.findall(source)]))
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420 + len(marks),
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": family.bos, "eos_token": eos, "pad_token": eos}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(source)
    return folder
