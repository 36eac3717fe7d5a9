from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import UserError
from backend.model import find, targets
from backend.model.local import read_folder
from tests.tiny import make_model


@pytest.mark.parametrize(
    ("listed", "hint"),
    [
        ("foo,bar", "'foo' is no linear layer in the blocks of m; it has down_proj, gate_proj, k_proj"),
        ("Q_proj", "did you mean q_proj?"),
        ("All_Linear", "did you mean all-linear?"),
        ("embed_tokens", "'embed_tokens' is no linear layer"),
    ],
)
def test_what_is_no_linear_layer_is_refused_with_what_there_is(tmp_path: Path, listed: str, hint: str) -> None:
    model = read_folder(make_model(tmp_path / "m"), "m")
    with pytest.raises(UserError) as error:
        targets.refuse_unknown(model, listed)
    assert hint in str(error.value)
    assert error.value.field == "target_modules"


def test_names_of_the_model_and_all_linear_pass(tmp_path: Path) -> None:
    model = read_folder(make_model(tmp_path / "m"), "m")
    targets.refuse_unknown(model, "q_proj, down_proj")
    targets.refuse_unknown(model, "all-linear")


def test_without_files_the_family_s_names_count() -> None:
    with pytest.raises(UserError, match="'Wqkv' is no linear layer"):
        targets.refuse_unknown(find.find("8b"), "Wqkv")
