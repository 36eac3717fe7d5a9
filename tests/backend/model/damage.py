"""Models as people find them: each case is a whole tiny model in a folder, changed in one way. No torch."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

Edit = Callable[[Path], None]
INDEX = "model.safetensors.index.json"
NORM, QUERY = "model.layers.1.input_layernorm.weight", "model.layers.1.self_attn.q_proj.weight"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def config(*left_out: str, **values: Any) -> Edit:
    """Other values in config.json."""

    def edit(folder: Path) -> None:
        path = folder / "config.json"
        said = {key: value for key, value in json.loads(path.read_text()).items() if key not in left_out}
        path.write_text(json.dumps(said | values))

    return edit


def tensors(change: Callable[[dict[str, np.ndarray]], object], **values: Any) -> Edit:
    """Other tensors in model.safetensors, and other values in config.json."""

    def edit(folder: Path) -> None:
        found = load_file(folder / "model.safetensors")
        change(found)
        save_file({name: np.ascontiguousarray(x) for name, x in found.items()}, folder / "model.safetensors")
        config(**values)(folder)

    return edit


def without(name: str) -> Edit:
    """A tensor is missing."""
    return tensors(lambda found: found.pop(name))


def with_values(name: str, value: float) -> Edit:
    """Change the first element of a tensor."""
    return tensors(lambda found: found[name].reshape(-1).__setitem__(0, value))


def with_tensor(name: str, like: str, scale: float = 1.0) -> Edit:
    """A copy of a tensor under another name."""
    return tensors(lambda found: found.__setitem__(name, found[like] * np.float32(scale)))


def renamed(old: str, new: str) -> Edit:
    """Rename all tensors with `old` in their names."""

    def change(found: dict[str, np.ndarray]) -> None:
        for name in [name for name in found if old in name]:
            found[name.replace(old, new, 1)] = found.pop(name)

    return tensors(change)


def header(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Another header before the same bytes."""

    def edit(folder: Path) -> None:
        path = folder / "model.safetensors"
        raw = path.read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        said = json.loads(raw[8 : 8 + length])
        change(said)
        text = json.dumps(said).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])

    return edit


def content(name: str, made: Callable[[bytes], bytes] | bytes | str) -> Edit:
    """Another content of a file."""

    def edit(folder: Path) -> None:
        path = folder / name
        if isinstance(made, str):
            path.write_text(made)
        else:
            path.write_bytes(made if isinstance(made, bytes) else made(path.read_bytes()))

    return edit


def moved(old: str, new: str) -> Edit:
    """Rename a file."""

    def edit(folder: Path) -> None:
        (folder / old).rename(folder / new)

    return edit


def shards(
    split: Callable[[list[str]], list[list[str]]] = lambda names: [names[::2], names[1::2]],
    index: Callable[[dict[str, str]], Mapping[str, str]] = lambda found: found,
) -> Edit:
    """The weights in several files; `index` changes what their index says."""

    def edit(folder: Path) -> None:
        found = load_file(folder / "model.safetensors")
        where: dict[str, str] = {}
        for at, names in enumerate(split(list(found)), start=1):
            name = f"model-{at:05d}-of-00002.safetensors"
            save_file({tensor: found[tensor] for tensor in names}, folder / name)
            where |= dict.fromkeys(names, name)
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index(where)}))
        (folder / "model.safetensors").unlink()

    return edit


def both(*edits: Edit) -> Edit:
    """Several changes, one after the other."""

    def edit(folder: Path) -> None:
        for one in edits:
            one(folder)

    return edit


def removed(name: str) -> Edit:
    """A file is missing."""
    return lambda folder: (folder / name).unlink()


def linked_to_nothing(folder: Path) -> None:
    """A link of a cache whose file is gone."""
    removed("model.safetensors")(folder)
    (folder / "model.safetensors").symlink_to(folder / "blobs" / "gone")


def cut_short(folder: Path) -> None:
    """A download that stopped."""
    content("model.safetensors", lambda raw: raw[:-100])(folder)


def rope(**settings: Any) -> Edit:
    """Other rotary embeddings."""
    return config(rope_parameters={"rope_theta": 10000.0, **settings})


def wrapped(*, missing: str = "") -> Edit:
    """The model as the text part of a wrapper of text and images, with one tensor missing if named."""

    def change(found: dict[str, np.ndarray]) -> None:
        for name in list(found):
            found[f"language_model.{name}"] = found.pop(name)
        found["vision_tower.layers.0.attention.q_proj.weight"] = np.zeros((8, 8), np.float32)
        found.pop(f"language_model.{missing}", None)

    def edit(folder: Path) -> None:
        tensors(change)(folder)
        text = json.loads((folder / "config.json").read_text())
        said = {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": text}
        (folder / "config.json").write_text(json.dumps(said | {"tie_word_embeddings": True}))

    return edit
