"""Nasty text in every place that shows outside text, in a real terminal: none of it is executed.

tests/terminal/emulated.py fails on the first byte that fttui has no reason to send; the tests here make sure that the
words arrived unchanged, and that the program went on.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from backend.data.reading.candidates import candidates
from backend.run.folder import all_runs
from tests.terminal import nasty_box
from tests.terminal.emulated import Watched
from tests.terminal.tmux import Tmux, tmux
from tests.tui.nasty import NASTY
from tui.plain import plain

__all__ = ["tmux"]
pytestmark = pytest.mark.terminal
TITLE = plain(nasty_box.TITLE)
LINK = plain(nasty_box.LINK)
MARKUP = nasty_box.MARKUP
MODEL = plain(nasty_box.MODEL)
PRESET = plain(nasty_box.PRESET)
ODD_RUN = plain(nasty_box.ODD_RUN)
ENTER, ESC, DOWN, UP, HELP = "\r", "\x1b", "\x1b[B", "\x1b[A", "\x1bOP"
SAVE, PRESETS, RUNS, LEAVE = "\x13", "\x0f", "\x12", "\x11"


@pytest.fixture
def work(fttui_home: Path) -> Iterator[Path]:
    """The folder of the nasty box, with a short path; its runs and presets are in `$FTTUI_HOME`."""
    with tempfile.TemporaryDirectory() as folder:
        nasty_box.make(Path(folder))
        yield Path(folder)


@pytest.fixture
def app(work: Path) -> Iterator[Watched]:
    """The wizard on the nasty box, at its first step."""
    program = Watched(["-m", "tests.terminal.nasty_wizard", str(work)], size=(120, 80))
    program.wait("Plan for which device")
    yield program
    program.close()


def test_the_wizard_a_run_and_its_result(app: Watched, work: Path) -> None:
    choose_model(app)
    choose_data(app, [path.name for path in candidates(work)])
    plan(app, work)
    look_at_presets(app)
    train(app)
    compare_runs(app)
    app.type(LEAVE)
    assert f"/out {TITLE}\"'" in app.end()
    told = f"m{TITLE}\ufffd2J · LoRA"
    assert app.terminal.titles[-1] == "" and f"done - {told}" in app.terminal.titles
    assert app.terminal.notified == [f"fttui: {told}: done"]


def choose_model(app: Watched) -> None:
    """The earlier answer is not a model; the next one is."""
    app.type(ENTER)
    assert f"no{TITLE}model" in app.wait("not a model that can be used")
    app.type(DOWN)
    found = app.wait("vocabulary")
    assert re.search(r"parameters +98,[0-9]+ +llama", found)


def choose_data(app: Watched, offered: list[str]) -> None:
    """A file that is missing; the one that holds everything; the broken one; a mapping that is wrong."""
    app.type(ENTER)
    screen = app.wait(r"(?s)does not exist.*❯ …\S*\.jsonl +typed before.*no data yet")
    assert [x for x in offered if plain(x, lines=False)[:12] not in screen] == [], screen
    app.type(DOWN * (1 + offered.index(nasty_box.ALL_ROWS)))
    app.wait("❯ y all")
    for text in ("template\ufffd2J", LINK, MARKUP, "</text><script>alert(1)</script>&lt;&#x1b;]]>"):
        wait_in_panel(app, "first row, as", text)
    app.type(DOWN)
    app.wait("nothing that can")
    app.type(UP)
    app.wait("first row, as")
    app.type("\t", "prompt=x")
    app.wait("nothing that can")
    app.type("\x15")
    app.wait("first row, as")
    app.type(ENTER)


def squeezed(text: str) -> str:
    """Without spaces and line breaks, which depend on how the text is wrapped."""
    return "".join(text.split())


def in_panel(screen: str, text: str) -> bool:
    """Whether `text` is in the right-hand panel of a step, however it is wrapped."""
    return squeezed(text) in squeezed(
        "".join(line.rpartition("│")[0].rpartition("│")[2] for line in screen.split("\n"))
    )


def wait_in_panel(app: Watched, pattern: str, text: str) -> None:
    """Until `pattern` is on the screen and `text` in its panel: a tall screen is painted in several writes."""
    until = time.monotonic() + 20
    while not in_panel(screen := app.wait(pattern), text):
        assert time.monotonic() < until, screen


def plan(app: Watched, work: Path) -> None:
    """Goal, comparison, review: the command is copied as it is shown, and means what was answered."""
    app.wait("How deep")
    app.type(ENTER)
    app.wait("set by preset")
    app.type(ENTER)
    app.wait("❯ Start the training")
    screen = app.wait("--shift deep")  # the command is painted last
    assert squeezed(f"Preset {PRESET} was made for a box {TITLE}") in squeezed(screen)
    app.type("y")
    app.wait("in the clipboard")
    command = app.terminal.copied[-1]
    assert command.isprintable() and squeezed(command) in squeezed(screen)
    said = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True
    ).stdout
    words = said.split("\0")
    assert words[2] == nasty_box.PRESET
    assert words[words.index("--model") + 1] == str(work / nasty_box.MODEL)
    app.type(HELP)
    app.wait("Esc closes")
    app.type(ESC)
    app.wait_without("Esc closes")
    app.type("s")
    assert f"about {TITLE}" in app.wait("Save as a preset")
    app.type(ESC)
    app.wait_without("Save as a preset")


def look_at_presets(app: Watched) -> None:
    """The list; the editor that refuses; the name of a copy; a file that holds raw controls."""
    app.type(PRESETS)
    screen = app.wait("❯ clean")
    assert f"bad{plain(NASTY['colour'])}" in screen and PRESET in screen
    app.type(DOWN)
    wait_in_panel(app, "made_for", MARKUP)
    app.type("c")
    assert f"my-{PRESET}" in app.wait("Enter copies")
    app.type(ENTER)
    app.wait("won't do")
    app.type(ESC)
    app.wait_without("won't do")
    app.type(*[DOWN] * 5)
    app.wait("❯ bad")
    app.type("e")
    app.wait("Esc leave")
    app.type(SAVE)
    app.wait("won't do")
    app.type(ESC)
    app.wait_without("won't do")
    app.type(DOWN)
    wait_in_panel(app, "is no TOML", MARKUP)
    app.type("e")
    app.wait("edit it by")
    app.type(ESC)
    app.wait("❯ Start the training")


def train(app: Watched) -> None:
    """A run that says nasty things, its result, what is copied of it and its report."""
    app.type(ENTER)
    screen = app.wait("Predicted, measured")
    app.wait("Saved: load it")
    assert "asked" in screen and plain(NASTY["colour"]) in screen
    app.type("y")
    app.wait("Copied, if")
    code = app.terminal.copied[-1]
    assert code.isprintable() or set(filter(lambda x: not x.isprintable(), code)) == {"\n"}
    names: dict[str, object] = {}
    exec(code.split("\n")[0], names)
    assert names["path"] == f"/out {nasty_box.TITLE}\"'"
    app.type("s")
    app.wait("report.md and report.svg")
    (folder,) = (run for run in all_runs() if (run.path / "report.md").exists())
    check_report((folder.path / "report.md").read_text(), (folder.path / "report.svg").read_text())


def check_report(markdown: str, svg: str) -> None:
    """No control character, no script, no link; the picture is well-formed."""
    for text in (markdown, svg):
        assert {unicodedata.category(x) for x in text if x != "\n"} & {"Cc", "Cf", "Cs", "Co", "Cn"} == set()
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert tags <= {"svg", "style", "defs", "clipPath", "rect", "g", "text", "circle"}
    outside = [line for line in markdown.split("\n") if "PWNED" in line and not line.startswith("    ")]
    assert outside and not any(re.search(r"(?<!\\)[<&]|\w://", line) for line in outside)


def compare_runs(app: Watched) -> None:
    """The table, its filter, and two runs laid over each other."""
    app.type(RUNS)
    screen = app.wait("(?s)LoRA of .*3 of 3 runs")
    assert ODD_RUN in screen and f"odd {TITLE}" in screen
    app.type("/")
    app.wait("words to find")
    app.type("odd")
    app.wait("1 of 3 runs")
    app.type(ENTER, ESC)
    app.wait("3 of 3 runs")
    app.type(" ")
    app.wait("marked: b")
    app.type(DOWN, "c")
    assert ODD_RUN in app.wait("What differs")


def test_a_terminal_obeys_nothing_that_a_run_says(tmux: Tmux) -> None:
    tmux.run("set", "-g", "set-clipboard", "on")
    title = tmux.run("display", "-p", "-t", "work", "#{pane_title}")
    tmux.python("-m tests.terminal.nasty_app")
    screen = tmux.wait("ALL SHOWN")
    assert "Loss" in screen, "something cleared the screen"
    for key in ("5", "5", "Home", "PageDown", "PageDown", "PageDown", "End", "m", "4", "Down", "Down"):
        tmux.keys(key)
    tmux.wait("1 Loss")
    state = tmux.run("display", "-p", "-t", "work", "#{alternate_on} #{pane_title}")
    assert re.fullmatch(r"1 0 %, ends .* - m · QLoRA\n", state), "the title is ours"
    assert "pwned" not in tmux.run("list-buffers")
    tmux.keys("q")
    tmux.wait("code=0")
    assert tmux.run("display", "-p", "-t", "work", "#{pane_title}") == title


def test_what_the_commands_print(work: Path) -> None:
    program = Watched(["-m", "tests.terminal.nasty_commands", str(work)])
    text = program.end()
    codes = [int(code) for code in re.findall("^= ended with ([0-9]+)$", text, re.MULTILINE)]
    assert codes == [0, 0, 0, 0, 2, 0, 0, 2, 2, 0, 0, 2, 2, 2, 2, 2, 2, 2, 0, 0], "the last one's is in its run's log"
    for said in (
        f"{ODD_RUN} +odd {TITLE}",
        '"name": "b \\u001b]0;PWNED\\u0007 \\u202egnp.exe\\u202c"',
        f"{PRESET} +own +about {TITLE}{LINK}{MARKUP}",
        f"{ODD_RUN}  odd {TITLE}  step 5/5",
        f"error: Markdown: {NASTY['Markdown']}",
        "no run is called 'none \\x1b]0;PWNED\\x07'",
        f"model       {MODEL}, 98,",
        f"warn  title  odd {TITLE}",
        f"-> mend {LINK}",
        f"Preset {PRESET} was made for a box {TITLE}",
        f"it says after {plain(NASTY['colour'])}",
        f"saved in /out {TITLE}\"'",
    ):
        assert squeezed(said.replace(" +", "")) in squeezed(text), said
    assert "Traceback" not in text
    program.close()
