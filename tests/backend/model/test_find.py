from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from backend.errors import UserError
from backend.model import demo, hub_cache
from backend.model.find import find, on_this_box, remember, without_the_hub

UNKNOWN = "some-org/some-model"


def refused(reference: str) -> str:
    with pytest.raises(UserError) as caught:
        find(reference)
    assert caught.value.field == "model"
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def fill_cache(hub_id: str, source: Path, *names: str) -> Path:
    """A hub cache as huggingface_hub leaves it, with these files of `source`."""
    folder = hub_cache.root() / f"models--{hub_id.replace('/', '--')}"
    snapshot = folder / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123abcd")
    for name in names:
        shutil.copy(source / name, snapshot / name)
    return snapshot


def response(status: int) -> Any:
    request = SimpleNamespace(url="https://hub/x", method="GET", headers={})
    return SimpleNamespace(status_code=status, headers={}, request=request, url="https://hub/x")


class FakeHub:
    """What `HfApi().model_info` and `hf_hub_download` give, or the exceptions that they raise."""

    def __init__(self, config: Path | None = None, files: dict[str, int] | None = None) -> None:
        self.config = config
        self.files = files or {"config.json": 600, "model.safetensors": 5000, "consolidated.safetensors": 5000}
        self.info_error: Exception | None = None
        self.download_error: Exception | None = None
        self.downloads: list[str] = []
        self.parameters = 2400

    def model_info(self, repo_id: str) -> Any:
        if self.info_error:
            raise self.info_error
        siblings = [SimpleNamespace(rfilename=name, size=size) for name, size in self.files.items()]
        card = SimpleNamespace(license="mit")
        return SimpleNamespace(siblings=siblings, safetensors=SimpleNamespace(total=self.parameters), card_data=card)

    def hf_hub_download(self, repo_id: str, filename: str, **_: Any) -> str:
        if self.download_error:
            raise self.download_error
        self.downloads.append(filename)
        assert self.config is not None
        return str(self.config)


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> FakeHub:
    fake = FakeHub(tiny_model / "config.json")
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda _api, repo, **_: fake.model_info(repo))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake.hf_hub_download)
    return fake


# ---- folders and files


def test_a_folder(tiny_model: Path) -> None:
    info = find(f"  {tiny_model}  ")

    assert (info.kind, info.folder, info.has_weights, info.hub_id) == ("folder", tiny_model, True, None)


def test_a_relative_folder_becomes_an_absolute_one(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_model.parent)

    assert find(tiny_model.name).folder == tiny_model
    assert find(tiny_model.name).reference == tiny_model.name


def test_a_folder_goes_before_a_size(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_model, tmp_path / "8b")
    monkeypatch.chdir(tmp_path)

    assert find("8b").kind == "folder"


def test_config_json_itself_stands_for_its_folder(tiny_model: Path) -> None:
    assert find(str(tiny_model / "config.json")).folder == tiny_model


@pytest.mark.parametrize("path", ["./nope", "/no/such/folder", "~/nope/nope", "a/b/c", "what is this"])
def test_a_missing_folder(path: str) -> None:
    assert f"the folder {path} does not exist" in refused(path)


@pytest.mark.parametrize(
    "said",
    [
        "https://huggingface.co/Qwen/Qwen3-8B",
        "https://huggingface.co/Qwen/Qwen3-8B/tree/main",
        "huggingface.co/Qwen/Qwen3-8B/",
        "hf.co/Qwen/Qwen3-8B:Q4_K_M",
        "hf://Qwen/Qwen3-8B@main",
        "hf:Qwen/Qwen3-8B",
        "models/Qwen/Qwen3-8B",
        "Qwen/Qwen3-8B@9c925d64d72725edaf899c6cb9c377fd0709d9c5",
    ],
)
def test_an_address_on_the_hub_means_its_id(said: str) -> None:
    assert refused(said).endswith("does not exist; give the hub id Qwen/Qwen3-8B")


def test_a_gguf_file(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")

    assert "is a GGUF, which is made for inference" in refused(str(path))


def test_another_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x")

    assert "is a file; give the folder that holds config.json" in refused(str(path))


def test_nothing_at_all() -> None:
    assert "no model was given" in refused("  ")


# ---- sizes and well-known names


def test_a_size_is_planned_with_the_nearest_shape_and_says_so() -> None:
    info = find("8b")

    assert (info.kind, info.shape.parameters, info.folder, info.hub_id) == ("size", 8_030_261_248, None, None)
    assert any("8b stands for the shape of Llama-3.1-8B" in note for note in info.notes)


def test_a_short_name_needs_no_network() -> None:
    info = find("llama-3.1-8b-instruct")

    assert (info.kind, info.hub_id) == ("hub", "meta-llama/Llama-3.1-8B-Instruct")
    assert info.download_bytes == 8_030_261_248 * 2
    assert info.shape.license == "llama3.1 community"


def test_a_known_hub_id_is_planned_for_offline() -> None:
    info = find("Qwen/Qwen2.5-7B")

    assert (info.shape.parameters, info.has_weights) == (7_615_616_512, False)
    assert any("HF_HUB_OFFLINE is set" in note for note in info.notes)


def test_a_name_that_is_near_a_known_one_is_suggested_without_the_hub_too() -> None:
    assert "HF_HUB_OFFLINE is set" in (said := refused("Qwen/Qwen3-8"))
    assert "did you mean Qwen/Qwen3-8B" in said


def test_planning_words_load_nothing_heavy() -> None:
    code = (
        "import sys; from backend.model.find import find; [find(x) for x in ('demo', '8b', 'qwen3-8b')];"
        "print(sorted({'torch', 'transformers', 'peft', 'huggingface_hub', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


# ---- the hub's cache


def test_the_cache_is_read_without_asking_the_hub(tiny_model: Path) -> None:
    snapshot = fill_cache(UNKNOWN, tiny_model, "config.json", "model.safetensors", "tokenizer.json")

    info = find(UNKNOWN)

    assert (info.kind, info.folder, info.hub_id, info.has_weights) == ("hub", snapshot, UNKNOWN, True)
    assert (info.shape.name, info.download_bytes) == ("some-model", 0)


def test_folders_of_the_cache_by_their_paths(tiny_model: Path) -> None:
    """Its files are links into another folder, and a snapshot's own name is that of a commit."""
    snapshot = fill_cache("org/some-model-it", tiny_model, "config.json", "model.safetensors")
    blobs = snapshot.parent.parent / "blobs"
    blobs.mkdir()
    (snapshot / "config.json").rename(blobs / "c0ffee")
    (snapshot / "config.json").symlink_to(blobs / "c0ffee")

    for path in (snapshot, snapshot / "config.json"):
        info = find(str(path))
        assert (info.folder, info.shape.name, info.shape.instruct) == (snapshot, "some-model-it", True)
    assert refused(str(snapshot.parent.parent)).endswith(f"did you mean {snapshot}?")


def test_a_short_name_finds_its_download_in_the_cache(tiny_model: Path) -> None:
    snapshot = fill_cache("Qwen/Qwen3-8B", tiny_model, "config.json", "model.safetensors")

    info = find("qwen3-8b")

    assert info.folder == snapshot
    assert info.shape.instruct


def test_a_cached_config_is_enough_when_the_hub_is_out_of_reach(tiny_model: Path) -> None:
    snapshot = fill_cache(UNKNOWN, tiny_model, "config.json", "tokenizer.json")

    info = find(UNKNOWN)

    assert (info.folder, info.has_weights) == (None, False)
    assert info.download_bytes == info.shape.parameters * 2
    assert info.tokenizer_file == snapshot / "tokenizer.json"
    assert any("Planned from the config.json that is here" in note for note in info.notes)


# ---- the hub


def test_the_hub_is_asked_for_config_and_sizes_only(fake_hub: FakeHub) -> None:
    info = find(UNKNOWN)

    assert fake_hub.downloads == ["config.json"]
    assert (info.kind, info.hub_id, info.folder, info.has_weights) == ("hub", UNKNOWN, None, False)
    assert (info.weight_bytes, info.download_bytes) == (5000, 5000)
    assert info.shape.license == "mit"
    assert "Licence: mit." in info.notes
    assert any("figures follow config.json" in note for note in info.notes)  # the fake says 2,400 parameters


def test_not_found_suggests_what_is_near(fake_hub: FakeHub) -> None:
    fake_hub.info_error = errors.RepositoryNotFoundError("404", response=response(404))

    assert "no model on the hub is called some-org/some-model; check its spelling" in refused(UNKNOWN)
    assert "did you mean Qwen/Qwen2.5-7B" in refused("Qwen/Qwen-2.5-7B")


def test_gated(fake_hub: FakeHub) -> None:
    fake_hub.download_error = errors.GatedRepoError("403", response=response(403))

    said = refused(UNKNOWN)

    assert "is gated" in said
    assert "hf auth login" in said
    assert f"https://huggingface.co/{UNKNOWN}" in said


def test_a_gated_one_that_is_well_known_can_be_planned_for(fake_hub: FakeHub) -> None:
    fake_hub.download_error = errors.GatedRepoError("403", response=response(403))

    info = find("meta-llama/Llama-3.1-8B")

    assert info.shape.parameters == 8_030_261_248
    assert any("is gated" in note and "hf auth login" in note for note in info.notes)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (errors.LocalEntryNotFoundError("no connection"), "the hub can't be reached (no network)"),
        (ConnectionError("refused"), "the hub can't be reached (no network)"),
        (errors.HfHubHTTPError("503", response=response(503)), "the hub answered with error 503"),
        (OSError(28, "No space left on device"), "can't be stored (No space left on device)"),
    ],
)
def test_no_answer_from_the_hub(fake_hub: FakeHub, error: Exception, said: str) -> None:
    fake_hub.download_error = error

    assert said in refused(UNKNOWN)
    assert "config.json is enough for planning" in refused(UNKNOWN)


def test_a_network_that_is_down_before_the_first_word(fake_hub: FakeHub) -> None:
    down = type("ConnectError", (errors.HTTPError,), {})  # type: ignore[attr-defined]
    fake_hub.info_error = down("Name or service not known")

    assert "the hub can't be reached (no network)" in refused(UNKNOWN)


def test_what_the_hub_does_not_take_for_an_id(fake_hub: FakeHub) -> None:
    fake_hub.info_error = errors.HFValidationError("no")

    assert "is neither a folder here nor a hub id" in refused("a--b/c")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config.json": 1, "pytorch_model.bin": 9}, "pickle files only"),
        ({"config.json": 1, "x.Q4_K_M.gguf": 9}, "is a GGUF"),
        ({"adapter_config.json": 1, "adapter_model.safetensors": 9}, "is a LoRA adapter"),
        ({"config.json": 1, "flax_model.msgpack": 9}, "has no weights in safetensors"),
        ({"model.safetensors": 9}, "is no model: config.json is missing"),
        ({"config.json": 1, "model.safetensors": 9, "adapter_config.json": 1}, "holds an adapter beside the model"),
    ],
)
def test_what_the_hub_holds_instead(fake_hub: FakeHub, files: dict[str, int], said: str) -> None:
    fake_hub.files = files

    assert said in refused(UNKNOWN)


def test_a_hub_model_of_the_wrong_kind(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.config = tmp_path / "config.json"
    fake_hub.config.write_text(json.dumps({"architectures": ["BertModel"], "model_type": "bert"}))

    assert refused(UNKNOWN).startswith("some-org/some-model is not a causal language model")


# ---- what is here already


def test_what_is_on_this_box(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "source", lambda: Path("/"))
    fill_cache("org/whole", tiny_model, "config.json", "model.safetensors")
    fill_cache("org/config-only", tiny_model, "config.json")
    remember(str(tiny_model))

    found = on_this_box()

    assert [item.reference for item in found] == [str(tiny_model), "org/whole", "demo"]
    assert found[1].weight_bytes == (tiny_model / "model.safetensors").stat().st_size
    assert "org/whole" in found[1].label
    assert all(find(item.reference).shape.parameters for item in found)


def test_broken_entries_are_left_out(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_package() -> Path:
        raise UserError("not installed", "model")

    monkeypatch.setattr(demo, "source", no_package)
    broken = fill_cache("org/broken", tiny_model, "config.json", "model.safetensors")
    (broken / "config.json").write_text("{")
    classifier = fill_cache("org/classifier", tiny_model, "config.json", "model.safetensors")
    (classifier / "config.json").write_text('{"architectures": ["BertModel"], "model_type": "bert"}')
    (hub_cache.root() / "models--org--empty").mkdir()
    (hub_cache.root() / "stray-file").write_text("x")
    gone = tmp_path / "gone"
    gone.mkdir()
    remember(str(gone))
    gone.rmdir()

    assert on_this_box() == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/c/hub"}, "/c/hub"),
        ({"HF_HOME": "/h"}, "/h/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
    ],
)
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert hub_cache.root() == Path(expected)


def test_what_a_wrapper_on_the_hub_holds_beside_its_text_part_does_not_train(
    fake_hub: FakeHub, tiny_model: Path, tmp_path: Path
) -> None:
    text = json.loads((tiny_model / "config.json").read_text())
    said = {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": text}
    fake_hub.config = tmp_path / "config.json"
    fake_hub.config.write_text(json.dumps(said | {"tie_word_embeddings": True}))
    count = find(str(tiny_model)).shape.parameters
    fake_hub.parameters = count + 5000

    shape = find("org/wrapper").shape

    assert (shape.parameters, shape.frozen_parameters) == (count + 5000, 5000)


def test_without_the_hub_only_what_is_here_or_in_our_table_is_found(fake_hub: FakeHub, tiny_model: Path) -> None:
    fake_hub.info_error = fake_hub.download_error = AssertionError("the hub was asked")
    assert without_the_hub(UNKNOWN) is None
    known = without_the_hub("Qwen/Qwen3-8B")
    assert known is not None and known.shape.name == "Qwen3-8B"
    for reference in ("demo", "8b", str(tiny_model)):
        assert without_the_hub(reference) == find(reference)
    with pytest.raises(UserError, match="does not exist"):
        without_the_hub("./nowhere/at/all")
    fill_cache(UNKNOWN, tiny_model, "config.json", "model.safetensors")
    cached = without_the_hub(UNKNOWN)
    assert cached is not None and cached.has_weights
