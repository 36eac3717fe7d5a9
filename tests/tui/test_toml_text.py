"""TOML in colours: each kind of token has its own, and the text stays as it is."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from tests.tui.stage import Stage
from tui.widgets import toml_text
from tui.widgets.toml_text import TomlArea

TEXT = '# why\nrank = 64  # best\nname = "a"\n\n[job]\nuse = true\n'


def colours(line: int, part: str) -> set[str]:
    """The styles of a part of a line, which win over those below them."""
    shown = toml_text.lines(TEXT)[line]
    first = shown.plain.index(part)
    places = range(first, first + len(part))
    return {next(str(x.style) for x in reversed(shown.spans) if x.start <= at < x.end) for at in places}


@pytest.mark.parametrize(
    ("line", "part", "style"),
    [
        (0, "# why", "$faint italic"),
        (1, "rank", "$primary"),
        (1, "64", "$warning"),
        (1, "# best", "$faint italic"),
        (2, '"a"', "$success"),
        (4, "[job]", "bold $secondary"),
    ],
)
def test_each_kind_of_token_has_its_style(line: int, part: str, style: str) -> None:
    assert colours(line, part) == {style}


@pytest.mark.parametrize("text", ["", "\n", TEXT, "a = ", '"""', "x = [1,\n 2]", "ключ = 'é'", "= = ="])
def test_the_text_stays_as_it_is(text: str) -> None:
    assert [line.plain for line in toml_text.lines(text)] == text.split("\n") or text.endswith("\n")
    assert "\n".join(line.plain for line in toml_text.lines(text)).rstrip("\n") == text.rstrip("\n")


class _Editor(Stage):
    def compose(self) -> ComposeResult:
        yield TomlArea(TEXT)


async def test_the_editor_shows_the_colours_and_edits_as_before() -> None:
    app: App[str] = _Editor(None)
    async with app.run_test(size=(60, 12)) as pilot:
        area = app.query_one(TomlArea)
        area.focus()
        await pilot.press("down", "end", "x")
        assert area.text.split("\n")[1] == "rank = 64  # bestx"
        line = area.get_line(1)
        assert line.plain == "rank = 64  # bestx"
        shown = {line.plain[x.start : x.end]: x.style for x in line.spans}
        assert len({str(style) for style in shown.values()}) >= 3
        assert not any(x.start <= line.plain.index("=") < x.end for x in line.spans), "in the editor's own colour"
