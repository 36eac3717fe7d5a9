"""What the export targets beside plain merging write: Ollama and LM Studio with GGUF, MLX, SGLang, and the upload."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from gguf import GGUFReader

from backend.errors import UserError
from backend.export import hub
from backend.export.export import TARGETS, export
from tests.backend.export.helpers import ended, found, silent, without_result
from tui.commands.export import export as command


def test_ollama_takes_merged_weights_and_no_adapter(tiny_model: Path) -> None:
    done = export(found(ended(tiny_model)), "ollama", None, silent)
    text = (done.folder / "Modelfile").read_text()
    assert text.startswith("FROM .\n") and "ADAPTER" not in text and "--quantize" not in done.command
    assert (done.folder / "model.safetensors").is_file()


def test_ollama_with_a_type_takes_one_gguf(tiny_model: Path) -> None:
    done = export(found(ended(tiny_model)), "ollama", None, silent, dtype="q8_0")
    (file,) = done.folder.glob("*.gguf")
    lines = (done.folder / "Modelfile").read_text().splitlines()
    assert lines[0] == f"FROM ./{file.name}" and "ADAPTER" not in "".join(lines)
    assert 'PARAMETER stop "<|im_end|>"' in lines and "--quantize" not in done.command
    assert not list(done.folder.glob("*.safetensors"))
    fields = GGUFReader(file).fields
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False  # ChatML begins with no BOS of its own


def test_lm_studio_imports_the_file(tiny_model: Path) -> None:
    folder = ended(tiny_model)
    done = export(found(folder), "lmstudio", None, silent)
    words = shlex.split(done.command)
    assert words[:4] == ["lms", "import", "--yes", "--copy"]
    assert words[words.index("--user-repo") + 1] == f"fttui/{folder.name.lower()}"
    assert Path(words[-1]).is_file() and words[-1].endswith("-F16.gguf")


def test_mlx_reads_the_merged_folder(tiny_model: Path) -> None:
    done = export(found(ended(tiny_model)), "mlx", None, silent)
    assert shlex.split(done.command) == ["mlx_lm.chat", "--model", str(done.folder)]
    assert list(done.folder.glob("model*.safetensors")) and (done.folder / "tokenizer.json").is_file()
    assert "mlx_lm.convert" in done.notes[0] and "-q" in done.notes[0]


def served(method: Any = "lora", name: str | None = None) -> tuple[list[str], Path]:
    folder = without_result(Path("/models/base"), method=method, job={"hub_id": "org/base"})
    if name:
        odd = folder.path.with_name(name)
        folder.path.rename(odd)
        folder = type(folder)(odd)
    folder.result.mkdir()
    (folder.result / ("config.json" if method == "full" else "adapter_config.json")).write_text("{}")
    (folder.result / "chat_template.jinja").write_text("{{ messages }}")
    done = export(found(folder), "sglang", None, silent)
    words = shlex.split(done.command)
    assert shlex.split((done.folder / "serve.sh").read_text().partition("\nexec ")[2]) == words
    return words, folder.result


def test_sglang_serves_an_adapter_over_its_base() -> None:
    words, result = served()
    assert words[:5] == ["python", "-m", "sglang.launch_server", "--model-path", "org/base"]
    assert words[5:8] == ["--enable-lora", "--lora-paths", f"{result.parent.name}={result}"]
    assert words[8:] == ["--chat-template", str(result / "chat_template.jinja")]


def test_sglang_serves_a_whole_model() -> None:
    words, result = served("full")
    assert words[4:] == [str(result), "--served-model-name", result.parent.name]


def test_sglang_with_an_odd_name() -> None:
    words, result = served(name="a=$(touch x) 'b'\n")
    assert words[7] == f'{{"lora_name": "a=$(touch x) \'b\'\\n", "lora_path": {hub_json(result)}, "pinned": false}}'


def hub_json(path: Path) -> str:
    import json

    return json.dumps(str(path))


class Hub:
    """The hub's client, and what was asked of it."""

    def __init__(self, exists: bool = False, error: Exception | None = None) -> None:
        self.exists, self.error, self.asked = exists, error, list[Any]()

    def __call__(self) -> Hub:
        return self

    def repo_exists(self, name: str) -> bool:
        return self.exists

    def create_repo(self, name: str, private: bool) -> None:
        self.asked.append((name, private))

    def upload_folder(self, **options: Any) -> None:
        if self.error:
            raise self.error
        self.asked.append(options)


def test_pushed_privately_where_it_is_new(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", client)
    folder = ended(tiny_model)
    assert command(folder.name, to="merged", push="me/my-model") == 0
    assert client.asked[0] == ("me/my-model", True)
    assert client.asked[1]["folder_path"] == folder.path / "export" / "merged"
    assert "uploaded to https://huggingface.co/me/my-model (private" in capsys.readouterr().out


def test_no_token_gets_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ValueError("bad header Bearer hf_abcDEF123\nmore")
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub(exists=True, error=error))
    with pytest.raises(UserError, match=r"me/x was not uploaded to: bad header Bearer hf_\.\.\.; the export is in"):
        hub.push(tmp_path, "me/x", silent)


@pytest.mark.parametrize("name", ["x", "me/x/y", "me/", "../x", "me/x y"])
def test_an_invalid_name_is_refused_before_anything_is_written(name: str, tiny_model: Path) -> None:
    folder = ended(tiny_model)
    with pytest.raises(UserError, match="give USER/NAME"):
        command(folder.name, to="merged", push=name)
    with pytest.raises(UserError, match="--to vllm writes none"):
        command(folder.name, to="vllm", push="me/x")
    assert not (folder.path / "export").exists()


def test_every_target_is_in_the_help() -> None:
    assert all(f"{target}" in (command.__doc__ or "") for target in TARGETS)
