"""config.toml: defaults if there is none, and one sentence for each invalid value."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend import settings
from backend.errors import UserError
from backend.settings import Settings


def test_without_a_file_the_defaults_hold() -> None:
    assert settings.load() == Settings()


def test_what_is_written_holds() -> None:
    settings.path().write_text('theme = "fttui-light"  # by day\nascii = true\nnotify = "bell"\non_finish = "cat"\n')
    assert settings.load() == Settings("fttui-light", True, "bell", True, "cat")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('notify = "loud"', "notify: 'loud' won't do; it takes desktop, bell, off"),
        ('ascii = "yes"', "ascii: 'yes' won't do; it takes true or false"),
        ("on_finnish = 'x'", "did you mean 'on_finish'?"),
        ("theme = ", "at line 1"),
    ],
)
def test_what_it_can_not_hold_is_named(line: str, sentence: str) -> None:
    settings.path().write_text(line + "\n")
    with pytest.raises(UserError) as refused:
        settings.load()
    assert sentence in str(refused.value)
    assert "config.toml" in str(refused.value)


def test_bytes_that_are_no_text_are_refused(fttui_home: Path) -> None:
    settings.path().write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"config\.toml can't be read"):
        settings.load()
