"""What the documentation names is there: files, folders and tests."""

from __future__ import annotations

import dataclasses
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from backend import paths, settings
from tui.commands import app as commands

ROOT = Path(__file__).parents[1]
PAGES = ("docs/ARCHITECTURE.md", "docs/guide.md", "CONTRIBUTING.md", "README.md")
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


def test_what_the_guide_links_to_is_there() -> None:
    text = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) > 3 and not [link for link in links if not (ROOT / "docs" / link).is_file()]
    heads = {re.sub(r"[^a-z -]", "", x.lower()).replace(" ", "-") for x in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    assert not set(re.findall(r"\]\(#([^)]+)\)", text)) - heads


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    assert links and not [link for link in links if not (path.parent / link).exists()]


def test_the_settings_of_the_readme_are_settings() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("config.toml`; all keys")[2]
    block = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    keys = block.partition("presets/")[0]  # what follows is the map of folders
    paths.home().mkdir(parents=True, exist_ok=True)
    settings.path().write_text(keys, encoding="utf-8")
    read = settings.load()
    assert read.ascii and read.notify == "bell" and not read.title and read.theme and read.on_finish
    assert set(tomllib.loads(keys)) == {field.name for field in dataclasses.fields(read)}


def test_the_tests_that_hold_what_was_untrue_exist() -> None:
    text = (ROOT / "tests/bench/RESULTS.md").read_text(encoding="utf-8")
    section = text.partition("## The screen: what was untrue")[2].partition("\n## ")[0]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(NAMED_TEST.findall(section))
    assert len(named) > 15 and not {name for name in named if f"def {name}(" not in sources}


EXAMPLE = re.compile(r"^(?: {4,}|- `)(?:echo .*\| )?fttui ((?:(?! {2}|[`\[|]).)+)", re.MULTILINE)


def _examples() -> list[str]:
    """The commands that pages and help texts show, without what follows two spaces, a comment or a pipe."""
    sources = [ROOT / page for page in PAGES] + sorted((ROOT / "tui/commands").glob("*.py"))
    found = (EXAMPLE.findall(path.read_text(encoding="utf-8")) for path in sources)
    return sorted({one.partition("#")[0].strip() for some in found for one in some})


def test_the_examples_of_pages_and_help_texts_are_commands_with_options_that_exist() -> None:
    examples = [shlex.split(one) for one in _examples()]
    assert len(examples) > 50
    assert {words[0] for words in examples} >= commands.COMMANDS.keys() - {"stop", "pause", "checkpoint", "change"}
    for words in examples:
        if len(words) > 1:  # a name alone stands in a list of commands
            commands.app_for(words[0]).parse_args(words, exit_on_error=False, print_error=False)
