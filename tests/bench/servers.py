"""Results as vLLM and SGLang read them, by the parts of their own source that need neither torch nor a GPU.

    python -m tests.bench.servers --vllm WHEEL --sglang WHEEL [--llama-cpp FOLDER] [RESULT ...]

WHEELs are those of the package index, FOLDER is llama.cpp's source. For every architecture of the survey: whether each
has a model of that name (vLLM and SGLang fall back to transformers for others). For each RESULT, a folder that a run
left: whether their classes for adapters take its adapter_config.json, and whether vLLM can read the names of its
tensors. Nothing is served.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import re
import sys
import types
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.model import headers

_LISTS = ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS", "_TRANSFORMERS_SUPPORTED_MODELS")
_MOST = 512
"""The largest rank that vLLM's `--max-lora-rank` takes."""


class Source:
    """Files of a wheel."""

    def __init__(self, path: str) -> None:
        self.archive = zipfile.ZipFile(path)
        self.name = Path(path).name.split("-cp")[0]

    def text(self, name: str) -> str:
        """The text of a file."""
        return self.archive.read(name).decode("utf-8")

    def texts(self, folder: str) -> list[str]:
        """The text of every Python file in a folder."""
        names = (x for x in self.archive.namelist() if x.startswith(folder) and x.endswith(".py"))
        return [self.text(name) for name in names]


def of_vllm(source: Source) -> frozenset[str]:
    """The classes that vLLM's registry lists."""
    tree = ast.parse(source.text("vllm/model_executor/models/registry.py"))
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in _LISTS:
            assert isinstance(node.value, ast.Dict)
            found |= {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
    return frozenset(found)


def of_sglang(source: Source) -> frozenset[str]:
    """The classes that SGLang's model files name as their entries."""
    entries = re.compile(r"^EntryClass\s*=\s*(\[[^\]]*\]|\w+)", re.MULTILINE)
    return frozenset(
        name
        for text in source.texts("sglang/srt/models/")
        for entry in entries.findall(text)
        for name in re.findall(r"\w+", entry)
    )


def of_llama_cpp(folder: Path) -> frozenset[str]:
    """The classes that llama.cpp's converter registers."""
    texts = (
        path.read_text(encoding="utf-8") for path in [*folder.glob("convert_hf*.py"), *folder.glob("conversion/*.py")]
    )
    called = re.compile(r"ModelBase\.register\(([^)]*)\)")
    return frozenset(name for text in texts for said in called.findall(text) for name in re.findall(r'"(\w+)"', said))


def vllm_takes(source: Source, result: Path) -> str:
    """What vLLM's own class and its reader of names say of an adapter."""
    parts: dict[str, Any] = {}
    stubs: dict[str, dict[str, Any]] = {
        "vllm.config.lora": {"LoRAConfig": object},
        "vllm.logger": {"init_logger": lambda name: types.SimpleNamespace()},
    }
    for name, values in stubs.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(values)
    sys.modules.setdefault("regex", re)
    module = types.ModuleType("vllm_peft_helper")
    sys.modules[module.__name__] = module
    exec(compile(source.text("vllm/lora/peft_helper.py"), "peft_helper.py", "exec"), vars(module))
    function = next(
        node
        for node in ast.parse(source.text("vllm/lora/utils.py")).body
        if isinstance(node, ast.FunctionDef) and node.name == "parse_fine_tuned_lora_name"
    )
    code = "from __future__ import annotations\n" + ast.unparse(function)
    exec(compile(code, "utils.py", "exec"), parts)
    try:
        helper = module.PEFTHelper.from_local_dir(str(result), 512)
        helper.validate_legal(types.SimpleNamespace(max_lora_rank=_MOST))
        for name in headers.header(result / "adapter_model.safetensors"):
            parts["parse_fine_tuned_lora_name"](name)
    except ValueError as error:
        return str(error)
    return "accepted"


def sglang_takes(source: Source, result: Path) -> str:
    """What SGLang's own class says of an adapter."""
    module: dict[str, Any] = {}
    exec(compile(source.text("sglang/srt/lora/lora_config.py"), "lora_config.py", "exec"), module)
    try:
        module["LoRAConfig"](path=str(result))
    except (KeyError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def architectures() -> list[tuple[str, str]]:
    """Each family of the survey, with the class that its config.json names: from transformers' source."""
    from backend.model.architectures import can_be_loaded
    from tests.bench.architecture_models import table

    spec = importlib.util.find_spec("transformers")
    assert spec and spec.submodule_search_locations
    path = Path(next(iter(spec.submodule_search_locations)), "models", "auto", "modeling_auto.py")
    text = path.read_text(encoding="utf-8")

    def mapped(name: str) -> dict[str, str]:
        after = text.partition(f"\n{name} = ")[2].partition("\n)")[0]
        return dict(re.findall(r'\(\s*"([\w.-]+)",\s*\(?"(\w+)"', after))

    whole = mapped("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES")
    causal = {name: kind for name, kind in mapped("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES").items() if can_be_loaded(name)}
    return sorted((causal | {name: whole[name] for name in table()["wrappers"]}).items())


def main(arguments: Sequence[str]) -> int:
    """Print both tables; 1 if a parser refuses a result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--vllm", required=True)
    parser.add_argument("--sglang", required=True)
    parser.add_argument("--llama-cpp", type=Path)
    parser.add_argument("results", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    vllm, sglang = Source(options.vllm), Source(options.sglang)
    known = {vllm.name: of_vllm(vllm), sglang.name: of_sglang(sglang)}
    if options.llama_cpp:
        known["llama.cpp's converter"] = of_llama_cpp(options.llama_cpp)
    families = architectures()
    print(f"| of {len(families)} families | has a model of that name | has none |\n|---|--:|---|")
    for name, classes in known.items():
        lacking = [family for family, kind in families if kind not in classes]
        print(f"| {name} | {len(families) - len(lacking)} | {', '.join(lacking)} |")
    said = [(path, vllm_takes(vllm, path), sglang_takes(sglang, path)) for path in options.results]
    if said:
        print(f"\n| adapter | {vllm.name} | {sglang.name} |\n|---|---|---|")
    for path, one, other in said:
        settings = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
        print(f"| {path.parent.name}, rank {settings['r']} | {one} | {other} |")
    return int(any({one, other} != {"accepted"} for _, one, other in said))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
