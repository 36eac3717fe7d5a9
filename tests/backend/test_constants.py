"""presets/*.toml as typed tables: all of them load, and a slip in one is an error that names the key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from backend import constants, paths

TABLES = ("methods", "memory", "throughput", "calibration", "host", "trial", "forgetting", "adviser")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_what_the_file_says(name: str) -> None:
    shipped = tomllib.loads((paths.SHIPPED / f"{name}.toml").read_text())
    assert_equal(msgspec.to_builtins(getattr(constants, name)()), shipped)


def assert_equal(table: object, shipped: object) -> None:
    """Everything in the file is in the table, and all else in the table is a default."""
    if isinstance(shipped, dict):
        assert isinstance(table, dict)
        for key, value in shipped.items():
            assert_equal(table[key], value)
    elif isinstance(shipped, list):
        assert isinstance(table, list | tuple) and len(table) == len(shipped)
        for one, other in zip(table, shipped, strict=True):
            assert_equal(one, other)
    else:
        assert table == shipped


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("newest", "newst", "unknown field `newst`"),
        ("least = 5", "", "missing required field `least` - at `$.steady`"),
        ("prior = 0.5", 'prior = "half"', "Expected `float`, got `str` - at `$.weight.prior`"),
    ],
)
def test_a_slip_is_an_error_when_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, said: str
) -> None:
    text = (paths.SHIPPED / "calibration.toml").read_text()
    (tmp_path / "calibration.toml").write_text(text.replace(right, wrong))
    monkeypatch.setattr(paths, "SHIPPED", tmp_path)
    constants.calibration.cache_clear()
    try:
        with pytest.raises(msgspec.ValidationError) as caught:
            constants.calibration()
        assert said in str(caught.value)
    finally:
        monkeypatch.undo()
        constants.calibration.cache_clear()
