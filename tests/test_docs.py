"""What the documentation names is there: files, folders and tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("docs/ARCHITECTURE.md", "CONTRIBUTING.md", "README.md")
NAMED = re.compile(r"`((?:backend|tui|tests|presets|docs)/[\w./-]*)`")
NAMED_TEST = re.compile(r"`(test_\w+)`")


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page: str) -> None:
    named = NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
    assert not [name for name in named if not (ROOT / name).exists()]


def test_tests_that_the_invariants_name_exist() -> None:
    named = set(NAMED_TEST.findall((ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert not {name for name in named if f"def {name}(" not in sources}
