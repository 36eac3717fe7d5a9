"""NaN and infinite values, in models that are read whole and in larger ones, which are sampled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.errors import UserError
from backend.model import finite
from tests.backend.model import damage as d
from tests.tiny import make_model


def test_one_value_of_a_small_model(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    finite.refuse_others(folder, "m")
    d.with_values(d.EMBEDDING, float("-inf"))(folder)

    with pytest.raises(UserError, match=r"embed_tokens\.weight of m holds values that are no numbers"):
        finite.refuse_others(folder, "m")


def test_a_whole_tensor_of_a_larger_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finite, "_WHOLE_BYTES", 0)
    folder = make_model(tmp_path / "m")
    d.shards()(folder)
    finite.refuse_others(folder, "m")

    d.with_values(d.EMBEDDING, float("nan"))(make_model(tmp_path / "one"))
    finite.refuse_others(tmp_path / "one", "m")  # its first value is not sampled

    overflowed = make_model(tmp_path / "all")
    d.tensors(lambda x: x.__setitem__(d.QUERY, np.full((64, 64), np.nan, np.float16)))(overflowed)
    with pytest.raises(UserError, match=r"layers\.1\.self_attn\.q_proj\.weight"):
        finite.refuse_others(overflowed, "m")
