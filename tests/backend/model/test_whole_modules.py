"""Names in `modules_to_save` against the model's own names, and the parameters that they count."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import UserError
from backend.model import find, whole_modules
from tests.tiny import make_model


def test_parameters_of_a_models_own_modules(tmp_path: Path) -> None:
    tied = find.find(str(make_model(tmp_path / "tied"))).shape
    apart = find.find(str(make_model(tmp_path / "apart", tie_word_embeddings=False))).shape
    wide = 384 * 64
    assert whole_modules.parameters(apart, "embed_tokens") == whole_modules.parameters(apart, "lm_head") == wide
    assert whole_modules.parameters(apart, "embed_tokens,lm_head,norm") == 2 * wide + 64
    assert whole_modules.parameters(tied, "embed_tokens,lm_head") == wide
    assert whole_modules.parameters(tied, "input_layernorm") == 2 * 64
    assert whole_modules.parameters(find.find("8b").shape, "norm") == find.find("8b").shape.hidden


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("embed_token", "did you mean embed_tokens"),
        ("q_proj", "'q_proj' is no embedding, head or norm"),
        ("lm_head", "lm_head shares its matrix with the embedding"),
    ],
)
def test_a_name_that_will_not_do(names: str, sentence: str, tiny_model: Path) -> None:
    with pytest.raises(UserError, match=sentence) as refusal:
        whole_modules.refuse_unknown(find.find(str(tiny_model)).shape, names)
    assert refusal.value.field == "modules_to_save"


def test_a_head_that_shares_its_matrix_trains_with_the_embedding(tiny_model: Path) -> None:
    shape = find.find(str(tiny_model)).shape
    whole_modules.refuse_unknown(shape, "embed_tokens,lm_head")
    assert whole_modules.has_head(shape, "embed_tokens")
    with pytest.raises(UserError, match="list it once"):
        whole_modules.refuse_unknown(shape, "embed_tokens,lm_head", "q_proj,lm_head")
