"""From what the user typed to a model: `demo`, a size, a folder, a well-known name or a hub id."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from backend import paths, units
from backend.errors import UserError
from backend.model import architectures, as_loaded, demo, headers, hub, hub_cache, known, used
from backend.model.config import is_exact, is_multimodal, shape_from_config
from backend.model.family import Config
from backend.model.info import ModelInfo
from backend.model.known import Known
from backend.model.local import BYTES_16_BIT, count_notes, read_config, read_folder, shape_notes
from backend.model.other_weights import gguf_sentence
from backend.model.shape import ModelShape
from backend.model.stored_shape import counted
from backend.model.used import remember as remember


@dataclass(frozen=True)
class FoundModel:
    """A model that is on this box already."""

    reference: str
    """What `find` takes."""
    label: str
    weight_bytes: int


def find(reference: str) -> ModelInfo:
    """What the planner needs to know of the model. Raises UserError (field `model`) with the fix."""
    said = reference.strip()
    if not said:
        raise UserError("no model was given; give a folder, a hub id, a size such as 8b, or demo", "model")
    if said.lower() == "demo":
        return demo.info()
    path = paths.existing(said, "model")
    if path is not None and path.is_dir():
        return read_folder(path.resolve(), said)
    size = known.size_of(said)
    if size is not None:
        return _by_size(said, size)
    if path is not None and path.is_file():
        return _by_file(path, said)
    if not hub.HUB_ID.fullmatch(said):
        meant = hub.id_in(said)
        fix = f"give the hub id {meant}" if meant else "check the path, or give a hub id (ORG/NAME)"
        raise UserError(f"the folder {said} does not exist; {fix}", "model")
    return _by_name(said)


def without_the_hub(reference: str) -> ModelInfo | None:
    """Like `find`, but without asking the hub: None for a model that only the hub knows. Raises UserError."""
    said = reference.strip()
    path = paths.existing(said, "model")
    if path is None and known.size_of(said) is None and hub.HUB_ID.fullmatch(said) and said.lower() != "demo":
        cached, entry = hub_cache.snapshot(said), known.by_name(said)
        if cached is None or not headers.are_whole(cached):
            return from_table(entry[0]) if entry else None
    return find(said)


def on_this_box() -> list[FoundModel]:
    """Models that need no download: folders used before, the hub cache's causal models, the demo model last.

    What is broken, or can't be fine-tuned, is left out.
    """
    folders = [(folder, Path(folder), "used before") for folder in used.folders()]
    cached = [(hub_id, hub_cache.snapshot(hub_id), "downloaded") for hub_id in hub_cache.hub_ids()]
    offered = [_offer(reference, path, origin) for reference, path, origin in [*folders, *cached] if path is not None]
    return [found for found in [*offered, _offer_demo()] if found is not None]


def from_table(entry: Known) -> ModelInfo:
    """A well-known model as fttui's own table has it; nothing is read or asked."""
    return _from_table(entry.id, entry, entry.id, "")


def _offer(reference: str, path: Path, origin: str) -> FoundModel | None:
    try:
        files = headers.weight_files(path)
        if not files:
            return None
        shape = shape_from_config(read_config(path), reference, has_files=True)
        weight_bytes = sum(file.stat().st_size for file in files)
    except (UserError, OSError):
        return None
    return FoundModel(reference, _label(shape, weight_bytes, origin), weight_bytes)


def _offer_demo() -> FoundModel | None:
    try:
        info = demo.info()
    except UserError:
        return None
    return FoundModel("demo", _label(info.shape, info.weight_bytes, "ships with fttui"), info.weight_bytes)


def _label(shape: ModelShape, weight_bytes: int, origin: str) -> str:
    return f"{shape.name} · {units.count(shape.parameters)} parameters · {units.disk(weight_bytes)} · {origin}"


def _by_size(said: str, size: float) -> ModelInfo:
    stand_in = known.by_size(size, said)
    shape = stand_in.shape()
    note = (
        f"{said} stands for the shape of {stand_in.name} ({units.count(shape.parameters)} parameters): enough for "
        "planning; give the model itself to train it."
    )
    return replace(_from_table(said, stand_in, None, note), kind="size")


def _by_file(path: Path, said: str) -> ModelInfo:
    if path.suffix.lower() == ".gguf":
        raise UserError(gguf_sentence(said), "model")
    if path.name == "config.json" or path.suffix == ".safetensors":
        return read_folder(path.parent.resolve(), said)  # the file itself may be a link into the cache's blobs
    raise UserError(f"{said} is a file; give the folder that holds config.json and the weights", "model")


def _by_name(said: str) -> ModelInfo:
    """A hub id, or the short name of a well-known model, which is planned for without asking the hub."""
    entry = known.by_name(said)
    hub_id = entry[1] if entry else said
    cached = hub_cache.snapshot(hub_id)
    if cached is not None and headers.are_whole(cached):
        name, licence = hub_id.rsplit("/", 1)[-1], entry[0].license if entry else ""
        return _tuned(read_folder(cached, said, "hub", name=name, hub_id=hub_id, license=licence), entry)
    if entry and "/" not in said:
        note = f"Its shape comes from fttui's own table; {hub_id} is downloaded when the training starts."
        return _from_table(said, entry[0], hub_id, note)
    try:
        return _tuned(_from_hub(said, hub_id), entry)
    except hub.Unreachable as error:
        if cached is not None:
            note = f"Planned from the config.json that is here: {_reason(error)}."
            return _from_config(said, hub_id, read_config(cached), (note,))
        if entry:
            return _from_table(said, entry[0], hub_id, f"Its shape comes from fttui's own table: {_reason(error)}.")
        if near := known.suggestions(hub_id):
            raise UserError(f"{error}; did you mean {' or '.join(near)}?", "model") from None
        raise


def _tuned(info: ModelInfo, entry: tuple[Known, str] | None) -> ModelInfo:
    """Some chat models don't say so in their name; the table knows."""
    if entry and entry[1] in entry[0].tuned:
        return replace(info, shape=replace(info.shape, instruct=True))
    return info


def _reason(error: hub.Unreachable) -> str:
    return f"it {error.reason} (`hf auth login`)" if error.reason.startswith("is") else error.reason


def _from_hub(said: str, hub_id: str) -> ModelInfo:
    remote = hub.read(hub_id)
    info = _from_config(said, hub_id, remote.config, (), remote.license)
    if not is_exact(remote.config) or is_multimodal(remote.config):
        info = replace(info, shape=_with_other_parts(info.shape, remote))
    notes = (*info.notes, *count_notes(remote.config, info.shape, remote.parameters))
    return replace(info, weight_bytes=remote.weight_bytes, download_bytes=remote.weight_bytes, notes=notes)


def _with_other_parts(shape: ModelShape, remote: hub.Remote) -> ModelShape:
    """The shape with the hub's parameter count; if a wrapper's text part is exact, the rest does not train."""
    whole = counted(shape, remote.parameters)
    frozen = max(0, whole.parameters - shape.parameters) if is_exact(remote.config) else 0
    return replace(whole, frozen_parameters=frozen)


def _from_config(said: str, hub_id: str, config: Config, notes: tuple[str, ...], licence: str = "") -> ModelInfo:
    """A hub model whose config.json is on this box and whose weights are not."""
    shape = replace(shape_from_config(config, hub_id), name=hub_id.rsplit("/", 1)[-1], license=licence)
    info = _absent(said, hub_id, shape, (*shape_notes(config, shape), *notes))
    return replace(info, packages=architectures.packages(as_loaded.model_types(config)))


def _from_table(said: str, entry: Known, hub_id: str | None, note: str) -> ModelInfo:
    shape = entry.shape(hub_id)
    return _absent(said, hub_id, shape, (*shape_notes(entry.config, shape), note))


def _absent(said: str, hub_id: str | None, shape: ModelShape, notes: tuple[str, ...]) -> ModelInfo:
    """A model of known shape whose weights are not here; they are assumed to be stored in 16 bits."""
    cached = hub_cache.snapshot(hub_id) if hub_id else None
    tokenizer = cached / "tokenizer.json" if cached else None
    size = shape.parameters * BYTES_16_BIT
    return ModelInfo(
        reference=said,
        kind="hub",
        shape=shape,
        folder=None,
        has_weights=False,
        weight_bytes=size,
        download_bytes=size,
        tokenizer_file=tokenizer if tokenizer and tokenizer.is_file() else None,
        hub_id=hub_id,
        notes=notes,
    )
