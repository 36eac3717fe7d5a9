from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.errors import UserError
from backend.model import stored
from backend.model.local import read_folder
from tests.tiny import edit_header, make_model


def test_a_quantised_tensor_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    edit_header(folder, "model.layers.0.self_attn.q_proj.weight", "F8_E4M3")
    with pytest.raises(UserError, match=r"its tensor model\.layers\.0\.self_attn\.q_proj\.weight is F8_E4M3") as error:
        read_folder(folder, "m")
    assert error.value.field == "model"


def test_an_integer_weight_is_quantised_and_an_integer_buffer_is_not(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    edit_header(folder, "model.norm.weight", "I32")
    with pytest.raises(UserError, match="is I32, which can't be trained"):
        read_folder(folder, "m")
    edit_header(folder, "model.norm.weight", "I32", renamed="model.position_ids")
    stored.refuse_untrainable(folder, "m")


@pytest.mark.parametrize("name", ["qweight", "weight_scale_inv", "gate_up_proj_blocks"])
def test_packed_tensors_are_known_by_their_names(tmp_path: Path, name: str) -> None:
    folder = make_model(tmp_path / "m")
    edit_header(folder, "model.norm.weight", "F32", renamed=f"model.layers.0.mlp.{name}")
    with pytest.raises(UserError, match=f"its tensor model.layers.0.mlp.{name}"):
        read_folder(folder, "m")


def test_a_quantization_config_is_found_at_any_depth(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] = {"quantization_config": {"quant_method": "fp8"}, **config}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"already quantised \(fp8\)"):
        read_folder(folder, "m")


def test_an_adapter_beside_the_model_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds an adapter beside the model .* move adapter_config\.json"):
        read_folder(folder, "m")


def test_the_stored_type_is_that_of_the_files_whatever_config_json_says(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", dtype="bfloat16")
    assert stored.dtype(folder) == "float32"


def test_the_fingerprint_follows_the_values(tmp_path: Path) -> None:
    one, same, other = (make_model(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert stored.fingerprint(one) == stored.fingerprint(same) != stored.fingerprint(other)
