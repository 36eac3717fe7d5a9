"""Exports opened by the programs they are for: each trainer's own parser, and llama.cpp compared with transformers.

    python -m tests.bench.exports --trl PYTHON --llamafactory PYTHON --axolotl PYTHON --llama-cpp PYTHON --mlx PYTHON

Each PYTHON is that of an environment with the package; one that is not named is left out and said so. Configs are those
of runs of each method and form of data; a config with a misspelt key must be refused or named, which shows that the
parser doesn't accept anything. GGUF: tiny models of each family and the demo, greedy answers token by token.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_ON_A_GPU = "import transformers.training_args as t; t.is_torch_bf16_gpu_available = lambda: True\n"
"""The configs are for a GPU; on a box without one transformers refuses bfloat16."""
PARSERS = {
    "trl": (
        "sft.yaml",
        f"{_ON_A_GPU}import sys\n"
        "from trl import ModelConfig, ScriptArguments, SFTConfig, TrlParser\n"
        "TrlParser((ScriptArguments, SFTConfig, ModelConfig)).parse_args_and_config(['--config', sys.argv[1]])\n",
    ),
    "llamafactory": (
        "llamafactory.yaml",
        f"{_ON_A_GPU}import sys, yaml\n"
        "from llamafactory.hparams import parser\n"
        "parser.is_torch_bf16_gpu_available = lambda: True\n"
        "parser.get_train_args(yaml.safe_load(open(sys.argv[1])))\n",
    ),
    "axolotl": (
        "axolotl.yaml",
        "import sys, yaml\n"
        "from axolotl.utils.schemas.config import AxolotlInputConfig\n"
        "said = yaml.safe_load(open(sys.argv[1]))\n"
        "read = AxolotlInputConfig(**said)\n"
        "unknown = set(said) - set(AxolotlInputConfig.model_fields)\n"
        "assert not unknown, unknown\n",
    ),
}
_ANSWER = (
    "import json, sys\n"
    "from llama_cpp import Llama\n"
    "asked = json.load(sys.stdin)\n"
    "model = Llama(asked['model'], lora_path=asked.get('lora'), n_ctx=512, verbose=False, n_threads=1)\n"
    "answers = []\n"
    "for text, ids in zip(asked['texts'], asked['ids']):\n"
    "    own = model.tokenize(text.encode(), add_bos=False, special=True)\n"
    "    made = []\n"
    "    model.reset()\n"
    "    for token in model.generate(ids, temp=0.0, top_k=1):\n"
    "        made.append(token)\n"
    "        if len(made) == asked['count']: break\n"
    "    answers.append({'tokens': own, 'answer': made})\n"
    "print('\\n' + json.dumps(answers))\n"
)
_MLX = """
import json, sys
import mlx.core as mx
from mlx_lm import load
asked = json.load(sys.stdin)
model, tokenizer = load(asked["model"])
answers = []
for text, ids in zip(asked["texts"], asked["ids"]):
    made = list(ids)
    for _ in range(asked["count"]):
        made.append(int(mx.argmax(model(mx.array([made]))[0, -1])))
    own = tokenizer.encode(text, add_special_tokens=False)
    answers.append({"tokens": own, "answer": made[len(ids):]})
print("\\n" + json.dumps(answers))
"""
_TEXTS = (
    "How many apples are left?",
    "Tom has 10 - 3 = 7 apples, it's  12345 dollars.\n\n  Ünïcode: 漢字 🙂 don't",
    "a  b\tc",
)
_COUNT = 24
FAMILIES = ("llama", "mistral", "qwen2")
_SCALED: dict[str, Any] = {
    "max_position_embeddings": 1024,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
}


def main() -> None:
    """Print a table; exit status 1 if anything was refused or differs."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    options = argparse.ArgumentParser()
    for name in (*PARSERS, "llama-cpp", "mlx"):
        options.add_argument(f"--{name}", default="")
    options.add_argument("--demo", action="store_true", help="the demo model too (a minute)")
    said = vars(options.parse_args())
    print("| what | with | result |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        rows = [*_configs(Path(home), said), *_ggufs(Path(home), said), *_mlx(Path(home), said)]
    sys.exit(any(not good for good in rows))


def _row(what: str, tool: str, result: str, good: bool = True) -> bool:
    print(f"| {what} | {tool} | {result} |", flush=True)
    return good


def _configs(home: Path, said: dict[str, Any]) -> Iterator[bool]:
    from backend.export.export import export
    from tests.backend.export.helpers import found, silent

    named = [name for name in PARSERS if said[name]]
    yield from (_row("configs", name, "not tried: no environment named") for name in PARSERS if name not in named)
    for label, folder in _runs(home) if named else ():
        for name in named:
            out = export(found(folder), name, None, silent).folder  # type: ignore[arg-type]
            file, program = PARSERS[name]
            complaint = _parsed(said[name], program, out, file)
            yield _row(label, name, complaint or "accepted", not complaint)
            wrong = out / f"wrong-{file}"
            wrong.write_text((out / file).read_text() + "learning_rait: 1.0\n")
            refused = _parsed(said[name], program, out, wrong.name)
            yield _row(f"{label}, a misspelt key", name, "refused" if refused else "ACCEPTED", bool(refused))


def _runs(home: Path) -> Iterator[tuple[str, Any]]:
    from tests.backend.export.test_configs import run
    from tests.tiny import make_model

    model = make_model(home / "model")
    questions = home / "questions.jsonl"
    questions.write_text("".join(json.dumps({"question": f"{i}?", "answer": f"{i}."}) + "\n" for i in range(40)))
    texts = home / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"A text of apples, number {i}."}) + "\n" for i in range(40)))
    talks = home / "talks.jsonl"
    turns = [{"role": role, "content": "a"} for role in ("user", "assistant") * 2]
    talks.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(40)))
    gpu = {"device": "cuda"}
    bf16 = {"precision": "bfloat16", "checkpointing": True}
    yield "LoRA, questions", run(model, questions)
    yield "LoRA, conversations", run(model, talks, target_modules="q_proj,v_proj", schedule="linear")
    yield "QLoRA, questions", run(model, questions, "qlora", gpu, optimizer="paged_adamw_8bit", **bf16)
    yield "QLoRA, documents", run(model, texts, "qlora", gpu, schedule="constant", **bf16)
    yield "full, questions", run(model, questions, "full", gpu, optimizer="adafactor", **bf16)
    full16 = {"weights_dtype": "bfloat16", "optimizer_in_backward": True, "attention": "flash_attention_2"}
    yield "full in bfloat16, flash", run(model, questions, "full", gpu, **bf16, **full16)


def _parsed(python: str, program: str, folder: Path, file: str) -> str:
    """What the parser complained of; empty if it accepted the file."""
    env = {**os.environ, "DISABLE_VERSION_CHECK": "1", "PYTHONPATH": ""}
    done = subprocess.run([python, "-c", program, file], cwd=folder, capture_output=True, text=True, env=env)
    lines = [line for line in done.stderr.strip().splitlines() if "For further information" not in line]
    return "" if done.returncode == 0 else (lines or ["exit"])[-1].strip()[:200]


def _ggufs(home: Path, said: dict[str, Any]) -> Iterator[bool]:
    python = said["llama_cpp"]
    if not python:
        yield _row("GGUF", "llama-cpp-python", "not tried: no environment named")
        return
    from backend.model import demo
    from backend.training import demo_model
    from tests.backend.export.helpers import ended
    from tests.tiny import make_model

    models = {f"tiny {x}": _loud(make_model(home / x, x, tie_word_embeddings=False)) for x in FAMILIES}
    models["tiny llama, llama3 rotary scaling"] = _loud(
        make_model(home / "scaled", tie_word_embeddings=False, **_SCALED)
    )
    if said["demo"]:
        models["the demo"] = demo_model.convert(lambda text: None)
    for label, base in models.items():
        folder = ended(base)
        for dtype in ("f16", "q8_0") if base == demo.folder() else ("f16", "bf16", "q8_0"):
            yield _compared(f"{label}, {dtype}", python, folder, dtype)
        yield _adapter_compared(f"{label}, adapter over a GGUF of the base", python, folder, base)


def _mlx(home: Path, said: dict[str, Any]) -> Iterator[bool]:
    python = said["mlx"]
    if not python:
        yield _row("MLX", "mlx-lm", "not tried: no environment named")
        return
    from backend.export.export import export
    from tests.backend.export.helpers import ended, found, silent
    from tests.tiny import make_model

    for family in ("llama", "qwen2"):
        folder = ended(_loud(make_model(home / f"mlx-{family}", family, tie_word_embeddings=False)))
        out = export(found(folder), "mlx", None, silent).folder
        yield _judged(f"tiny {family}", python, out, {"model": str(out)}, exact=True, program=_MLX, tool="mlx-lm")


def _loud(folder: Path) -> Path:
    """A random model whose answers depend on its attention: small weights with a tied head only echo the last token."""
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    weights = {name: x * 8 if x.ndim == 2 else x for name, x in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def _compared(label: str, python: str, folder: Any, dtype: Any) -> bool:
    from backend.export.export import export
    from tests.backend.export.helpers import found, silent

    out = export(found(folder), "gguf", folder.path / dtype, silent, dtype=dtype).folder
    merged = folder.path / "export" / "merged"
    if not merged.exists():
        export(found(folder), "merged", None, silent)
    (file,) = out.glob("*.gguf")
    return _judged(label, python, merged, {"model": str(file)}, exact=dtype == "f16")


def _adapter_compared(label: str, python: str, folder: Any, base: Path) -> bool:
    """The adapter's GGUF over one of the base, which is written as a full run's result."""
    from backend.export.export import export
    from backend.export.gguf import write
    from tests.backend.export.helpers import found, silent

    source = found(folder)
    out = export(source, "gguf", folder.path / "adapter", silent, adapter=True).folder
    (file,) = out.glob("*-adapter.gguf")
    write.model(source, base, out / "base.gguf", "f16")
    asked = {"model": str(out / "base.gguf"), "lora": str(file)}
    return _judged(label, python, _over_16_bits(base, folder), asked, exact=True, vocabulary=base)


def _over_16_bits(base: Path, folder: Any) -> Path:
    """The adapter merged in float32 into its base as the GGUF holds it, its matrices rounded to f16."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.copy_(weight.half())
    target: Path = folder.path / "over-16-bits"
    PeftModel.from_pretrained(model, folder.result).merge_and_unload().save_pretrained(target)
    return target


def _judged(
    label: str,
    python: str,
    merged: Path,
    asked: dict[str, Any],
    *,
    exact: bool,
    program: str = _ANSWER,
    tool: str = "llama-cpp-python",
    vocabulary: Path | None = None,
) -> bool:
    """`vocabulary`: whose tokens are compared, by default the merged model's (transformers rebuilds some on saving)."""
    from backend.data.chat.tokenizer import TextTokenizer

    tokenizer = TextTokenizer.load(vocabulary or merged)
    chats = [tokenizer.render([{"role": "user", "content": text}], add_generation_prompt=True) for text in _TEXTS]
    ids = [tokenizer.encode(text).ids for text in chats]
    asked |= {"texts": chats, "ids": ids, "count": _COUNT}
    done = subprocess.run([python, "-c", program], input=json.dumps(asked), capture_output=True, text=True, check=False)
    if done.returncode:
        return _row(label, tool, (done.stderr.strip().splitlines() or ["exit"])[-1][:200], False)
    got = json.loads(done.stdout.strip().splitlines()[-1])
    same_tokens = sum(x["tokens"] == y for x, y in zip(got, ids, strict=True))
    wanted = _greedy(merged, tuple(map(tuple, ids)))
    equal = sum(a == b for x, y in zip(got, wanted, strict=True) for a, b in zip(x["answer"], y, strict=True))
    count = _COUNT * len(ids)
    kinds = len({token for answer in wanted for token in answer})
    result = (
        f"tokens of {same_tokens} of {len(ids)} texts equal, {equal} of {count} greedy tokens equal ({kinds} kinds)"
    )
    return _row(label, tool, result, same_tokens == len(ids) and (equal == count or not exact))


@cache
def _greedy(merged: Path, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()
    answers = []
    with torch.no_grad():
        for prompt in prompts:
            ids = list(prompt)
            for _ in range(_COUNT):
                ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            answers.append(ids[len(prompt) :])
    return answers


if __name__ == "__main__":
    main()
