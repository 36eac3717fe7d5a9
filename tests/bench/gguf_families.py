"""The families of presets/families.toml as the `gguf` package knows them: `python -m tests.bench.gguf_families`.

For each: the architecture of llama.cpp with the same name, whether the package's map has a name for every tensor of the
model's files, and whether `fttui export --to gguf` writes it. llama.cpp's own converter is not in the package: whether
it supports a family is not tried here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from backend.errors import UserError
from backend.export.gguf import families
from backend.model import expected
from backend.model.config import listed

COUNTS = Path(__file__).parents[1] / "backend/model/family_counts.json"
OTHER_NAMES = {
    **dict.fromkeys(("mistral", "mixtral", "ministral"), "llama"),
    "phi": "phi2",
    "cohere": "command-r",
    "gpt_bigcode": "starcoder",
    "gpt_neox": "gptneox",
    "deepseek_v2": "deepseek2",
    "deepseek_v3": "deepseek2",
    "hunyuan_v1_dense": "hunyuan-dense",
    "hunyuan_v1_moe": "hunyuan-moe",
    "qwen3_5_text": "qwen35",
    "qwen3_5_moe_text": "qwen35moe",
    "minimax_m2": "minimax-m2",
    "ernie4_5_moe": "ernie4_5-moe",
    "gemma3_text": "gemma3",
    "llama4_text": "llama4",
}
"""llama.cpp's name of a family, if it differs."""


def architecture(gguf: Any, family: str) -> Any:
    """llama.cpp's architecture of a family; None if its list has none of that name."""
    names = {text.replace("-", "").replace("_", ""): arch for arch, text in gguf.MODEL_ARCH_NAMES.items()}
    return names.get(OTHER_NAMES.get(family, family).replace("-", "").replace("_", ""))


def unnamed(gguf: Any, arch: Any, config: dict[str, Any]) -> list[str]:
    """Tensors of such a model's files that the package's map does not know, experts left out."""
    about = listed(config)
    assert about is not None
    names = gguf.get_tensor_name_map(arch, about.sizes["layers"])
    return [x for x in expected.shapes(about) if names.get_name(x, try_suffixes=(".weight", ".bias")) is None]


def written(config: dict[str, Any]) -> str:
    """Whether fttui writes it, or the sentence."""
    try:
        families.of(config)
    except UserError as error:
        return f"refused: {str(error).partition(';')[0]}"
    return "written"


def main() -> int:
    """Print the table."""
    import gguf

    configs = {x["config"]["model_type"]: x["config"] for x in json.loads(COUNTS.read_text(encoding="utf-8"))}
    print("| family | llama.cpp's architecture | tensors without a name there | `--to gguf` |\n|---|---|---|---|")
    for family, config in sorted(configs.items()):
        arch = architecture(gguf, family)
        lacking = unnamed(gguf, arch, config) if arch is not None else []
        said = f"{len(lacking)}, the first {lacking[0]}" if lacking else "none" if arch is not None else ""
        print(f"| {family} | {gguf.MODEL_ARCH_NAMES.get(arch, '')} | {said} | {written(config)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
